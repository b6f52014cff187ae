"""Clients of httpx2 under a governor: what they send goes out through a governed httpx transport.

httpx2 is httpx's successor, of the same shapes and with types of its own, which an SDK on it
insists on (Anthropic's from 1.0 on). It is imported where it is asked for, and not required.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2

# httpx decodes what comes back, so what it can decode is what is asked for.
_ACCEPTED = "accept-encoding"
_ACCEPTS = "gzip, deflate"


class Bridge(httpx2.BaseTransport):
    """Sends through `inner`, and raises its errors as httpx2's of the same names."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises what `inner` raises."""
        content = request.read()
        with _errors(request):
            response = self._inner.handle_request(_sent(request, content))
        return _received(response, _Stream(response, request))

    def close(self) -> None:
        self._inner.close()


class AsyncBridge(httpx2.AsyncBaseTransport):
    """`Bridge` for asynchronous clients."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises what `inner` raises."""
        content = await request.aread()
        with _errors(request):
            response = await self._inner.handle_async_request(_sent(request, content))
        return _received(response, _AsyncStream(response, request))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx2.SyncByteStream):
    def __init__(self, response: httpx.Response, request: httpx2.Request) -> None:
        assert isinstance(response.stream, httpx.SyncByteStream)
        self._stream, self._request = response.stream, request

    def __iter__(self) -> Iterator[bytes]:
        with _errors(self._request):
            yield from self._stream

    def close(self) -> None:
        with _errors(self._request):
            self._stream.close()


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, response: httpx.Response, request: httpx2.Request) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream, self._request = response.stream, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _errors(self._request):
            await self._stream.aclose()


def _sent(request: httpx2.Request, content: bytes) -> httpx.Request:
    headers = [pair for pair in request.headers.multi_items() if pair[0] != _ACCEPTED]
    return httpx.Request(
        request.method,
        str(request.url),
        headers=[*headers, (_ACCEPTED, _ACCEPTS)],
        content=content,
        extensions=request.extensions,
    )


def _received(response: httpx.Response, stream: Any) -> httpx2.Response:
    return httpx2.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=stream,
        extensions=response.extensions,
    )


@contextmanager
def _errors(request: httpx2.Request) -> Iterator[None]:
    """What httpx raises, as httpx2's of the same name: an SDK tells a timeout by it."""
    try:
        yield
    except httpx.RequestError as error:
        twin = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise twin(str(error), request=request) from error
