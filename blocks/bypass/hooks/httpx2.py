"""httpx2, httpx's successor: the same, through the bridge to its types and back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx
import httpx2

from prefect_governor.blocks.bypass.hooks.httpx import AsyncSend, Send, hook_transports
from prefect_governor.blocks.wire.httpx2_bridge import AsyncBridge, Bridge
from prefect_governor.blocks.wire.sockets import Telling
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such transports."""
    hook_transports(module, "httpx2", _governed, _governed_async)


def _governed(transport: Any, send: Send, request: httpx2.Request) -> httpx2.Response:
    bridge = Bridge(GovernedTransport(_Leaf(transport, send), answers=True))
    return bridge.handle_request(request)


async def _governed_async(
    transport: Any, send: AsyncSend, request: httpx2.Request
) -> httpx2.Response:
    bridge = AsyncBridge(GovernedAsyncTransport(_AsyncLeaf(transport, send), answers=True))
    return await bridge.handle_async_request(request)


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
