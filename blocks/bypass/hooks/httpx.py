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

# Of a transport and a request, in the library's own types.
Send = Callable[[Any, Any], Any]
AsyncSend = Callable[[Any, Any], Awaitable[Any]]
Governed = Callable[[Any, Send, Any], Any]
GovernedAsync = Callable[[Any, AsyncSend, Any], Awaitable[Any]]


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such transports."""
    hook_transports(module, "httpx", _governed, _governed_async)


def hook_transports(
    module: ModuleType, library: str, governed: Governed, governed_async: GovernedAsync
) -> None:
    """Hook both transports of httpx, or of a library of the same shape. `governed` and
    `governed_async` make a call of theirs under the governor: of the transport, what it did before
    and the request. Raises AttributeError where the module has no such transports."""
    blocking, asynchronous = module.HTTPTransport, module.AsyncHTTPTransport
    blocking.handle_request = _blocking(blocking.handle_request, library, governed)
    asynchronous.handle_async_request = _asynchronous(
        asynchronous.handle_async_request, library, governed_async
    )


def _blocking(send: Send, library: str, governed: Governed) -> Send:
    @wraps(send)
    def handle_request(self: Any, request: Any) -> Any:
        governing = looking()
        if governing is None:
            return send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, request.read()):
            return send(self, request)
        if opens_socket(governing, library, request.method, url):
            return send(self, request)
        response = governed(self, send, request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return send(self, request) if passes else response

    return handle_request


def _asynchronous(send: AsyncSend, library: str, governed: GovernedAsync) -> AsyncSend:
    @wraps(send)
    async def handle_async_request(self: Any, request: Any) -> Any:
        governing = looking()
        if governing is None:
            return await send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, await request.aread()):
            return await send(self, request)
        if opens_socket(governing, library, request.method, url):
            return await send(self, request)
        response = await governed(self, send, request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return await send(self, request) if passes else response

    return handle_async_request


def _governed(transport: Any, send: Send, request: httpx.Request) -> httpx.Response:
    return GovernedTransport(Leaf(transport, send), answers=True).handle_request(request)


async def _governed_async(
    transport: Any, send: AsyncSend, request: httpx.Request
) -> httpx.Response:
    governed = GovernedAsyncTransport(AsyncLeaf(transport, send), answers=True)
    return await governed.handle_async_request(request)


class Leaf(httpx.BaseTransport, Telling):
    """What a transport of httpx did before it was hooked."""

    def __init__(self, transport: Any, send: Send) -> None:
        self._transport, self._send = transport, send

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._send(self._transport, request)
        return response


class AsyncLeaf(httpx.AsyncBaseTransport, Telling):
    """The same of an asynchronous one."""

    def __init__(self, transport: Any, send: AsyncSend) -> None:
        self._transport, self._send = transport, send

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._send(self._transport, request)
        return response
