"""A research of the web of the tests: its site and its search engine on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest

from prefect_governor.flows.web.web import Web
from tests.integration.governing import MODEL
from tests.unit.flows.web.site import Resolver, Site, reply, rules_for, serving

PAGE = "\n".join(["# Depots", "", "Depot A has 12 crates.", "", "Depot B has 7 crates."])


class Engine:
    """What a SearXNG says of each query, and what it was asked."""

    def __init__(self, site: Site) -> None:
        self._site = site
        site.replies["/search"] = self.answer
        self.found: list[dict[str, str]] = [
            {"title": "Depots", "url": f"{site.url}/depots", "content": "A list of depots"},
        ]
        self.status = 200

    @property
    def queries(self) -> list[str]:
        asked = [each.path for each in self._site.asked if each.path.startswith("/search?")]
        return [parse_qs(path.partition("?")[2])["q"][0] for path in asked]

    async def answer(self, writer: Any) -> None:
        said = json.dumps({"results": self.found})
        writer.write(reply(said, type="application/json", status=self.status))
        await writer.drain()


@contextmanager
def the_web(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Engine]]:
    """A web of one site, at the one address that its rule calls public."""
    with serving() as site:
        made = Web.__init__

        def init(self: Web, settings: Any, folder: Any) -> None:
            lists = {"allow": settings.allow, "deny": settings.deny}
            made(self, settings, folder, rules=rules_for(site, **lists), resolve=Resolver())

        monkeypatch.setattr(Web, "__init__", init)
        monkeypatch.setenv("SEARXNG_API_BASE", f"http://127.0.0.2:{site.port}")
        site.replies["/depots"] = reply(PAGE)
        yield site, Engine(site)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def calls(*each: dict[str, Any]) -> dict[str, Any]:
    """A turn of the scripted model that calls tools."""
    return {"tool_calls": list(each)}


def options(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_output_tokens": 400, "max_rounds": 0, "web": True, **more}
