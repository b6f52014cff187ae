"""lm15, which DSPy brings in a copy of its own, and which speaks HTTP over sockets by itself. Its
transports, around each request."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import wraps
from types import ModuleType
from typing import Any

import httpx

from prefect_governor.blocks.bypass.calls import is_call, lets_go, looking, place_of
from prefect_governor.blocks.bypass.replies import headers_of, raised, reason_of
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport

Send = Callable[[Any, Any], Any]
AsyncSend = Callable[[Any, Any], Awaitable[Any]]

# Said by lm15 itself, of what it sends.
_ITS_OWN = frozenset({"content-length", "host"})
# Before any byte of a request is sent: lm15's errors by name, for each copy has its own.
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout"})


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such transports."""
    blocking, asynchronous = module.StdlibTransport, module.StdlibAsyncTransport
    send, async_send = blocking.stream, asynchronous._do_stream
    blocking.stream = _blocking(send, module.TransportResponse)
    asynchronous._do_stream = _asynchronous(async_send, module.AsyncTransportResponse)


def _blocking(send: Send, reply: Callable[..., Any]) -> Send:
    @wraps(send)
    def stream(self: Any, request: Any) -> Any:
        governing = looking()
        asked = None if governing is None else _asked(request)
        if governing is None or asked is None:
            return send(self, request)
        with raised():
            transport = GovernedTransport(_Sending(self, send, request), answers=True)
            response = transport.handle_request(asked)
        if lets_go(governing, response, host=asked.url.host, path=asked.url.path):
            return send(self, request)
        return reply(chunks=_pieces(response), release=lambda _: response.close(), **_of(response))

    return stream


def _asynchronous(send: AsyncSend, reply: Callable[..., Any]) -> AsyncSend:
    @wraps(send)
    async def _do_stream(self: Any, request: Any) -> Any:
        governing = looking()
        asked = None if governing is None else _asked(request)
        if governing is None or asked is None:
            return await send(self, request)
        with raised():
            transport = GovernedAsyncTransport(_AsyncSending(self, send, request), answers=True)
            response = await transport.handle_async_request(asked)
        if lets_go(governing, response, host=asked.url.host, path=asked.url.path):
            return await send(self, request)
        return reply(
            chunks=_async_pieces(response), release=lambda _: response.aclose(), **_of(response)
        )

    return _do_stream


def _asked(request: Any) -> httpx.Request | None:
    """A model call as httpx has it; None for any other request."""
    url, headers = httpx.URL(request.url), httpx.Headers(request.headers)
    place = place_of(request.method, url.host, url.path, headers)
    content = bytes(request.body or b"")
    if request.method != "POST" or place is None or not is_call(place, url.path, headers, content):
        return None
    return httpx.Request("POST", url, headers=headers, content=content)


def _of(response: httpx.Response) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "reason": reason_of(response),
        "headers": headers_of(response.headers.multi_items()),
        "http_version": "HTTP/1.1",
    }


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    with raised():
        yield from response.iter_bytes()


async def _async_pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    with raised():
        async for piece in response.aiter_bytes():
            yield piece


def _sent(given: Any, request: httpx.Request) -> Any:
    """What lm15 sends for a request, with the timeouts of the one that it was given."""
    pairs = [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw]
    headers = [pair for pair in pairs if pair[0].lower() not in _ITS_OWN]
    return replace(given, headers=headers, body=request.content)


def _failed(error: Exception) -> httpx.TransportError:
    kind = httpx.ConnectError if type(error).__name__ in _NOT_SENT else httpx.ReadError
    return kind(type(error).__name__)


class _Sending(httpx.BaseTransport):
    """One request of a transport's: what it was asked with, and what sends."""

    def __init__(self, transport: Any, send: Send, given: Any) -> None:
        self._transport, self._send, self._given = transport, send, given

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it once."""
        try:
            reply = self._send(self._transport, _sent(self._given, request))
        except Exception as error:
            raise _failed(error) from error
        return httpx.Response(reply.status, headers=reply.headers, stream=_Read(reply))


class _AsyncSending(httpx.AsyncBaseTransport):
    def __init__(self, transport: Any, send: AsyncSend, given: Any) -> None:
        self._transport, self._send, self._given = transport, send, given

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it once."""
        try:
            reply = await self._send(self._transport, _sent(self._given, request))
        except Exception as error:
            raise _failed(error) from error
        return httpx.Response(reply.status, headers=reply.headers, stream=_AsyncRead(reply))


class _Read(httpx.SyncByteStream):
    """What a reply holds, as it comes."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._reply
        except Exception as error:
            raise _failed(error) from error

    def close(self) -> None:
        self._reply.close()


class _AsyncRead(httpx.AsyncByteStream):
    def __init__(self, reply: Any) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._reply:
                yield piece
        except Exception as error:
            raise _failed(error) from error

    async def aclose(self) -> None:
        await self._reply.aclose()
