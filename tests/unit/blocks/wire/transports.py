"""Both transports, over the same fakes."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from prefect_governor.blocks.wire.pool import PooledTransport
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider, chat_reply, chat_request

# What calls are sent through on a loop: httpx's own transport, and this package's pool.
POOLS: dict[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "aiohttp": lambda: PooledTransport(httpx.Limits()),
    "httpcore": httpx.AsyncHTTPTransport,
}
URL = "https://api.openai.com/v1/chat/completions"
SECRET = "sk-very-secret"


class Wire:
    """One of them, with a governor, a provider and a client that posts."""

    def __init__(self, kind: str, *replies: Any, governing: FakeGoverning | None = None) -> None:
        self.kind = kind
        self.governing = governing or FakeGoverning()
        self.desk: FakeDesk = self.governing.desk
        self.provider = FakeProvider(list(replies))

    async def post(self, body: Any = None, *, url: str = URL, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body or chat_request()).encode()
        headers = {"authorization": f"Bearer {SECRET}", **options.pop("headers", {})}
        if self.kind == "async":
            transport = GovernedAsyncTransport(self.provider, **options)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.post(url, content=content, headers=headers)
        with httpx.Client(transport=GovernedTransport(self.provider, **options)) as blocking:
            return blocking.post(url, content=content, headers=headers)


MakeWire = Callable[..., Wire]


def ok(**more: Any) -> httpx.Response:
    return httpx.Response(200, json=chat_reply(**more))
