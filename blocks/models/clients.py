"""The HTTP clients that LiteLLM is handed: their transport is ours, so nothing is sent beside it.

One pool of connections an event loop (and one for all synchronous code), kept for the life of the
loop and never closed under a running call.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.request import getproxies

import httpx

from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.models.openai_clients import Wanted, openai_client
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.messages import REPLAYED_HEADER
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.sockets import Telling
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport

# Wide enough that the ledger alone decides how many calls are open.
POOL = httpx.Limits(max_connections=None, max_keepalive_connections=2000, keepalive_expiry=5.0)

# Requests of the running completion that came through here.
requests_seen: ContextVar[list[str] | None] = ContextVar("requests_seen", default=None)


@dataclass(frozen=True, slots=True)
class Heard:
    """How an answer ended that came through here, by the provider's own words: LiteLLM knows some
    of them, and calls the others a natural end. `kept`: it was paid for before."""

    ending: Ending
    kept: bool


# The answers of the running completion, for whoever listens.
answers_heard: ContextVar[list[Heard] | None] = ContextVar("answers_heard", default=None)


@dataclass
class _Held:
    inner: Any
    clients: dict[Wanted, Any] = field(default_factory=dict)


_lock = threading.Lock()
_by_loop: dict[asyncio.AbstractEventLoop, _Held] = {}
_blocking: list[_Held] = []
# What a forked child inherits and must neither use nor close: its parent talks over it. (A loop
# that is collected takes its sockets out of an epoll that both have.)
_parents: list[object] = []


def async_pool() -> httpx.AsyncBaseTransport:
    """What sends, beneath the governed transport: through the environment's proxies, if any."""
    if _proxies():
        return _ProxiedAsync()
    # aiohttp takes a while to import.
    from prefect_governor.blocks.wire.pool import PooledTransport

    return PooledTransport(POOL)


def blocking_pool() -> httpx.BaseTransport:
    return _ProxiedBlocking() if _proxies() else httpx.HTTPTransport(limits=POOL)


def _proxies() -> bool:
    """Whether the environment names any: exceptions alone (NO_PROXY) are none."""
    return any(name != "no" for name in getproxies())


def async_client(wanted: Wanted) -> Any:
    """The client of the running loop: an `AsyncOpenAI` or LiteLLM's `AsyncHTTPHandler`."""
    loop = asyncio.get_running_loop()
    with _lock:
        held = _by_loop.get(loop)
        if held is None:
            # A closed loop's connections died with it.
            for each in [each for each in _by_loop if each.is_closed()]:
                del _by_loop[each]
            held = _by_loop[loop] = _Held(async_pool())
        return _of(held, wanted, _async_client)


def blocking_client(wanted: Wanted) -> Any:
    """The client of all synchronous code: an `OpenAI` or LiteLLM's `HTTPHandler`."""
    with _lock:
        if not _blocking:
            _blocking.append(_Held(blocking_pool()))
        return _of(_blocking[0], wanted, _blocking_client)


def _after_fork() -> None:
    global _lock
    # Somebody may have held it during the fork.
    _lock = threading.Lock()
    _parents.extend([*_by_loop.items(), *_blocking])
    _by_loop.clear()
    _blocking.clear()


os.register_at_fork(after_in_child=_after_fork)


async def aclose_clients() -> None:
    """Closes the running loop's connections. For whoever ends a loop and has no call open."""
    with _lock:
        held = _by_loop.pop(asyncio.get_running_loop(), None)
    if held is not None:
        await held.inner.aclose()


def _of(held: _Held, wanted: Wanted, make: Callable[[Any, Wanted], Any]) -> Any:
    client = held.clients.get(wanted)
    if client is None:
        client = held.clients[wanted] = make(held.inner, wanted)
    return client


def _async_client(inner: Any, wanted: Wanted) -> Any:
    if wanted.offline:
        from prefect_governor.blocks.offline.transport import OfflineTransport

        inner = OfflineTransport()
    transport = _SeenAsync(
        GovernedAsyncTransport(inner, provider=wanted.provider, base_model=wanted.base_model)
    )
    if wanted.openai:
        from openai import AsyncAzureOpenAI, AsyncOpenAI

        client = httpx.AsyncClient(transport=transport, follow_redirects=True)
        return openai_client(wanted, client, AsyncOpenAI, AsyncAzureOpenAI)
    return _handler_class()(transport=transport)


def _blocking_client(inner: Any, wanted: Wanted) -> Any:
    if wanted.offline:
        from prefect_governor.blocks.offline.transport import OfflineSyncTransport

        inner = OfflineSyncTransport()
    transport = _SeenBlocking(
        GovernedTransport(inner, provider=wanted.provider, base_model=wanted.base_model)
    )
    client = httpx.Client(transport=transport, follow_redirects=True)
    if wanted.openai:
        from openai import AzureOpenAI, OpenAI

        return openai_client(wanted, client, OpenAI, AzureOpenAI)
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    return HTTPHandler(client=client)


def _handler_class() -> Any:
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    class GovernedHandler(AsyncHTTPHandler):
        """LiteLLM's handler sends a request again, through a client of its own, when a connection
        breaks: the first may have been billed, and the second would pass no governor."""

        def create_client(self, *args: Any, **kwargs: Any) -> httpx.AsyncClient:
            broken = sys.exc_info()[1]
            if broken is not None:
                raise broken
            return super().create_client(*args, **kwargs)

    return GovernedHandler


class _ProxiedAsync(httpx.AsyncBaseTransport, Telling):
    """Sends as an httpx client does, which alone knows HTTPS_PROXY, NO_PROXY and their kin."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(limits=POOL)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


class _ProxiedBlocking(httpx.BaseTransport, Telling):
    def __init__(self) -> None:
        self._client = httpx.Client(limits=POOL)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._client.send(request, stream=True)

    def close(self) -> None:
        self._client.close()


class _SeenAsync(httpx.AsyncBaseTransport):
    """Notes that a request came through. The pool beneath is shared, so it is not closed here."""

    def __init__(self, governed: GovernedAsyncTransport) -> None:
        self._governed = governed

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _note(request)
        return _hear(request, await self._governed.handle_async_request(request))


class _SeenBlocking(httpx.BaseTransport):
    def __init__(self, governed: GovernedTransport) -> None:
        self._governed = governed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _note(request)
        return _hear(request, self._governed.handle_request(request))


def _note(request: httpx.Request) -> None:
    seen = requests_seen.get()
    if seen is not None:
        seen.append(request.url.path)


def _hear(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    heard = answers_heard.get()
    # What is streamed is not there yet.
    if heard is not None and response.is_success and response.is_closed:
        try:
            ending = dialect_of(request.method, request.url.path).ending(response.content)
        except NotGoverned:
            # It was only observed.
            return response
        if ending is not None:
            heard.append(Heard(ending, REPLAYED_HEADER in response.headers))
    return response
