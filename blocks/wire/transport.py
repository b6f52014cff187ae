"""The httpx transports in which every call is admitted and settled."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import anyio
import httpx

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.machine.stops import current_stop
from prefect_governor.blocks.machine.text import labels
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms
from prefect_governor.blocks.wire.exchange import exchange
from prefect_governor.blocks.wire.ports import Terms, Unbilled, run_blocking
from prefect_governor.blocks.wire.refusals import answered
from prefect_governor.blocks.wire.sending import sending
from prefect_governor.blocks.wire.sockets import cut, tells, watched

T = TypeVar("T")

# How long the end of a stream is waited for that its reader leaves after the last word: providers
# send it at once.
LEAVING_SECONDS = 2.0


class GovernedAsyncTransport(httpx.AsyncBaseTransport):
    """An asynchronous httpx transport under a governor, over `inner`, which does the sending.

    `governing` None: the governor of the context; outside one, NotGoverned is raised. `provider` is
    LiteLLM's name of who is spoken to ("groq"), for prices and limits; by default it is told by
    the host. `tags` are added to those of the context, `accepted` to what is accepted there. Time
    in the queue does not count against httpx's timeouts, which are `inner`'s. `answers` True: a
    refusal is no exception, but a reply that says it (see `refusals`). `base_model` is LiteLLM's
    name of the model behind the deployment that is called, `output` what an answer may hold, within
    what the governor says of it.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        governing: Governing | None = None,
        *,
        provider: str | None = None,
        tags: Iterable[str] = (),
        accepted: Accepted | None = None,
        answers: bool = False,
        base_model: str | None = None,
        output: OutputTerms = AS_ASKED,
    ) -> None:
        self._terms = Terms(
            governing,
            provider,
            labels(tags, "tags"),
            accepted or Accepted(),
            base_model,
            output,
            nominal=isinstance(inner, Unbilled),
        )
        self._exchange = answered if answers else exchange
        self._io = _AsyncIO(inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what `exchange` raises."""
        return await self._exchange(self._terms, self._io, request)

    async def aclose(self) -> None:
        await self._io.inner.aclose()


class GovernedTransport(httpx.BaseTransport):
    """The same for synchronous clients: the calling thread blocks where the other awaits."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        governing: Governing | None = None,
        *,
        provider: str | None = None,
        tags: Iterable[str] = (),
        accepted: Accepted | None = None,
        answers: bool = False,
        base_model: str | None = None,
        output: OutputTerms = AS_ASKED,
    ) -> None:
        self._terms = Terms(
            governing,
            provider,
            labels(tags, "tags"),
            accepted or Accepted(),
            base_model,
            output,
            nominal=isinstance(inner, Unbilled),
        )
        self._exchange = answered if answers else exchange
        self._io = _BlockingIO(inner)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what `exchange` raises."""
        return run_blocking(self._exchange(self._terms, self._io, request))

    def close(self) -> None:
        self._io.inner.close()


class _AsyncIO:
    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner, self.tells = inner, tells(inner)

    async def body(self, request: httpx.Request) -> bytes:
        return await request.aread()

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def send(self, request: httpx.Request) -> httpx.Response:
        with sending():
            return await self.inner.handle_async_request(watched(request, asynchronous=True))

    async def read(self, response: httpx.Response) -> bytes:
        return await response.aread()

    def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        return response.aiter_bytes()

    async def close(self, response: httpx.Response) -> None:
        await response.aclose()

    async def briefly(self, response: httpx.Response, reading: Coroutine[Any, Any, None]) -> None:
        with anyio.move_on_after(LEAVING_SECONDS):
            await reading

    async def wait(self, future: "Future[T]") -> T:
        return await wait_async(future)

    async def sleep(self, seconds: float) -> None:
        if (stop := current_stop()) is not None:
            await stop.wait_async(seconds)
        else:
            await asyncio.sleep(seconds)

    def stream(
        self, chunks: AsyncGenerator[bytes, None], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> httpx.AsyncByteStream:
        return _AsyncStream(chunks, close)


class _BlockingIO:
    """Its coroutines never suspend."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner, self.tells = inner, tells(inner)

    async def body(self, request: httpx.Request) -> bytes:
        return request.read()

    async def aside(self, work: Callable[[], T]) -> T:
        # Whoever calls waits in any case.
        return work()

    async def send(self, request: httpx.Request) -> httpx.Response:
        with sending():
            return self.inner.handle_request(watched(request, asynchronous=False))

    async def read(self, response: httpx.Response) -> bytes:
        return response.read()

    async def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        for chunk in response.iter_bytes():
            yield chunk

    async def close(self, response: httpx.Response) -> None:
        response.close()

    async def briefly(self, response: httpx.Response, reading: Coroutine[Any, Any, None]) -> None:
        # A thread that reads is ended by the end of what it reads.
        timer = threading.Timer(LEAVING_SECONDS, cut, (response,))
        timer.daemon = True
        timer.start()
        try:
            await reading
        finally:
            timer.cancel()

    async def wait(self, future: "Future[T]") -> T:
        return wait_blocking(future)

    async def sleep(self, seconds: float) -> None:
        if (stop := current_stop()) is not None:
            stop.wait(seconds)
        else:
            time.sleep(seconds)

    def stream(
        self, chunks: AsyncGenerator[bytes, None], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> httpx.SyncByteStream:
        return _BlockingStream(chunks, close)


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(
        self, chunks: AsyncGenerator[bytes, None], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._chunks = chunks
        self._close = close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
        finally:
            await self._close()


class _BlockingStream(httpx.SyncByteStream):
    def __init__(
        self, chunks: AsyncGenerator[bytes, None], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._chunks = chunks
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                try:
                    chunk = run_blocking(_next(self._chunks))
                except StopAsyncIteration:
                    return
                yield chunk
        finally:
            # Whoever is interrupted while he reads closes nothing by himself.
            self.close()

    def close(self) -> None:
        try:
            run_blocking(_finish(self._chunks))
        finally:
            run_blocking(self._close())


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return await chunks.__anext__()


async def _finish(chunks: AsyncGenerator[bytes, None]) -> None:
    await chunks.aclose()
