"""httpx2, httpx's successor: the same, through the bridge to its types and back."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

import httpx
import httpx2

from prefect_governor.blocks.bypass.calls import is_call, lets_go, looking, opens_socket, place_of
from prefect_governor.blocks.wire.httpx2_bridge import AsyncBridge, Bridge
from prefect_governor.blocks.wire.sockets import Telling
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport

Send = Callable[[Any, httpx2.Request], httpx2.Response]
AsyncSend = Callable[[Any, httpx2.Request], Awaitable[httpx2.Response]]


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such transports."""
    blocking, asynchronous = module.HTTPTransport, module.AsyncHTTPTransport
    blocking.handle_request = _blocking(blocking.handle_request)
    asynchronous.handle_async_request = _asynchronous(asynchronous.handle_async_request)


def _blocking(send: Send) -> Send:
    @wraps(send)
    def handle_request(self: Any, request: httpx2.Request) -> httpx2.Response:
        governing = looking()
        if governing is None:
            return send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, request.read()):
            return send(self, request)
        if opens_socket(governing, "httpx2", request.method, url):
            return send(self, request)
        bridge = Bridge(GovernedTransport(_Leaf(self, send), answers=True))
        response = bridge.handle_request(request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return send(self, request) if passes else response

    return handle_request


def _asynchronous(send: AsyncSend) -> AsyncSend:
    @wraps(send)
    async def handle_async_request(self: Any, request: httpx2.Request) -> httpx2.Response:
        governing = looking()
        if governing is None:
            return await send(self, request)
        url = request.url
        place = place_of(request.method, url.host, url.path, request.headers)
        if place is None or not is_call(place, url.path, request.headers, await request.aread()):
            return await send(self, request)
        if opens_socket(governing, "httpx2", request.method, url):
            return await send(self, request)
        bridge = AsyncBridge(GovernedAsyncTransport(_AsyncLeaf(self, send), answers=True))
        response = await bridge.handle_async_request(request)
        passes = lets_go(governing, response, host=url.host, path=url.path)
        return await send(self, request) if passes else response

    return handle_async_request


class _Leaf(httpx.BaseTransport, Telling):
    """What a transport of httpx2 did before it was hooked, spoken to in httpx's types."""

    def __init__(self, transport: Any, send: Send) -> None:
        self._transport, self._send = transport, send

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _errors():
            response = self._send(self._transport, _sent(request))
        return _received(response, _Stream(response.stream))


class _AsyncLeaf(httpx.AsyncBaseTransport, Telling):
    def __init__(self, transport: Any, send: AsyncSend) -> None:
        self._transport, self._send = transport, send

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _errors():
            response = await self._send(self._transport, _sent(request))
        return _received(response, _AsyncStream(response.stream))


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _errors():
            yield from self._stream

    def close(self) -> None:
        with _errors():
            self._stream.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _errors():
            await self._stream.aclose()


def _sent(request: httpx.Request) -> httpx2.Request:
    return httpx2.Request(
        request.method,
        str(request.url),
        headers=request.headers.raw,
        content=request.content,
        extensions=request.extensions,
    )


def _received(response: httpx2.Response, stream: Any) -> httpx.Response:
    return httpx.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=stream,
        extensions=response.extensions,
    )


@contextmanager
def _errors() -> Iterator[None]:
    """What httpx2 raises, as httpx's of the same name: what became of the call is told by it."""
    try:
        yield
    except httpx2.RequestError as error:
        twin = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise twin(str(error)) from error
