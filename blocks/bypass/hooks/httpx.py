"""httpx: the transports that open connections. What a client of one's own puts around them, and
what sends by other means (a mock), is as it was."""

from collections.abc import Awaitable, Callable
from functools import wraps
from types import ModuleType
from typing import Any

import httpx

from prefect_governor.blocks.bypass.calls import is_call, lets_go, looking, opens_socket, place_of
from prefect_governor.blocks.wire.sockets import Telling
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport

Send = Callable[[Any, httpx.Request], httpx.Response]
AsyncSend = Callable[[Any, httpx.Request], Awaitable[httpx.Response]]


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such transports."""
    blocking, asynchronous = module.HTTPTransport, module.AsyncHTTPTransport
    blocking.handle_request = _blocking(blocking.handle_request)
    asynchronous.handle_async_request = _asynchronous(asynchronous.handle_async_request)


def _blocking(send: Send) -> Send:
    @wraps(send)
    def handle_request(self: Any, request: httpx.Request) -> httpx.Response:
        governing = looking()
        if governing is None:
            return send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, request.read()):
            return send(self, request)
        if opens_socket(governing, "httpx", request.method, url):
            return send(self, request)
        response = GovernedTransport(Leaf(self, send), answers=True).handle_request(request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return send(self, request) if passes else response

    return handle_request


def _asynchronous(send: AsyncSend) -> AsyncSend:
    @wraps(send)
    async def handle_async_request(self: Any, request: httpx.Request) -> httpx.Response:
        governing = looking()
        if governing is None:
            return await send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, await request.aread()):
            return await send(self, request)
        if opens_socket(governing, "httpx", request.method, url):
            return await send(self, request)
        transport = GovernedAsyncTransport(AsyncLeaf(self, send), answers=True)
        response = await transport.handle_async_request(request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return await send(self, request) if passes else response

    return handle_async_request


class Leaf(httpx.BaseTransport, Telling):
    """What a transport of httpx did before it was hooked."""

    def __init__(self, transport: Any, send: Send) -> None:
        self._transport, self._send = transport, send

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._send(self._transport, request)


class AsyncLeaf(httpx.AsyncBaseTransport, Telling):
    """The same of an asynchronous one."""

    def __init__(self, transport: Any, send: AsyncSend) -> None:
        self._transport, self._send = transport, send

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._send(self._transport, request)
