"""The web as one run reaches it: each page and each search once, the same for all its agents."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio.to_thread

from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.agent.corpus import Source
from prefect_governor.flows.web.kept import Kept
from prefect_governor.flows.web.network.connecting import Resolve
from prefect_governor.flows.web.network.fetching import DEFAULT_BOUNDS, Bounds, Fetcher
from prefect_governor.flows.web.network.guard import Rules
from prefect_governor.flows.web.network.robots import Robots
from prefect_governor.flows.web.pages import page_of
from prefect_governor.flows.web.providers import Found
from prefect_governor.flows.web.searching import SearchFailed, search
from prefect_governor.flows.web.settings import WebSettings
from prefect_governor.flows.web.turns import Turns

_PAGES, _SEARCHES = "pages", "searches"


class Web:
    """Pages by URL, and searches. What was retrieved stands in `folder`, for whoever wants to see
    what a citation was checked by. Safe for many threads and loops.

    `rules` and `resolve` are the settings' and the system's unless they are given.
    """

    def __init__(
        self,
        settings: WebSettings,
        folder: Path,
        *,
        rules: Rules | None = None,
        resolve: Resolve | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self.settings = settings
        self._fetcher = Fetcher(rules or settings.rules, resolve=resolve, bounds=bounds)
        self._robots = Robots(self._fetcher)
        self._kept = Kept(folder)
        self._turns = Turns()
        self._latest: Source | None = None

    async def page(self, url: str) -> Source:
        """A page's lines, named by the URL that it was found at, in its one form.

        Raises NotFetched.
        """
        asked = self._fetcher.rules.target(url).url
        kept = await anyio.to_thread.run_sync(self._kept.get, _PAGES, asked)
        if kept is None:
            kept = await self._fetched(asked)
        found = _source(kept)
        # Another attempt of the run may have been allowed more.
        self._fetcher.rules.target(found.name)
        return found

    async def _fetched(self, asked: str) -> dict[str, Any]:
        fetched = await self._fetcher.get(asked, may_fetch=self._robots.check)
        source = await page_of(fetched, seconds=self._fetcher.bounds.seconds)
        return await anyio.to_thread.run_sync(self._keep, asked, source)

    def _keep(self, asked: str, source: Source) -> dict[str, Any]:
        value = {"url": source.name, "lines": source.lines, "pages": source.pages}
        kept = self._kept.put(_PAGES, source.name, value)
        return kept if asked == source.name else self._kept.put(_PAGES, asked, kept)

    async def search(self, query: str, most: int, *, runtime: Callable[[], Runtime]) -> list[Found]:
        """What the provider finds, paid for by the governor of `runtime`, once for each query.

        Raises SearchFailed where nobody searches or nothing is answered; OverBudget and whatever
        else refuses the money.
        """
        provider = self.settings.provider
        if provider is None:
            raise SearchFailed("this run has nobody who searches")
        asked = json.dumps([provider.name, query, most])
        async with self._turns.of(asked):
            kept = await anyio.to_thread.run_sync(self._kept.get, _SEARCHES, asked)
            if kept is None:
                found = await search(
                    provider, query, most, usd=self.settings.search_usd, runtime=runtime
                )
                value = {"found": [asdict(each) for each in found]}
                kept = await anyio.to_thread.run_sync(self._kept.put, _SEARCHES, asked, value)
        return [Found(**each) for each in kept["found"]]

    def line(self, source: str, number: int) -> str:
        """One line of a page that was retrieved, from 1; empty for what was not. Blocking."""
        if self._latest is None or self._latest.name != source:
            kept = self._kept.get(_PAGES, source)
            self._latest = Source(source, ()) if kept is None else _source(kept)
        lines = self._latest.lines
        return lines[number - 1] if 1 <= number <= len(lines) else ""


def _source(kept: dict[str, Any]) -> Source:
    return Source(kept["url"], tuple(kept["lines"]), tuple(kept["pages"]))
