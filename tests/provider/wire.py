"""HTTP/1.1 on asyncio: small, fast, and with its hands on the connection.

A judge of what happens when connections die has to kill them itself and see them die at once,
which is why this is a protocol of our own, reading with h11, and no ASGI server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import h11


@dataclass(slots=True)
class Request:
    """One request that has arrived in full. Header names are in lower case."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Exchange:
    """A request and the means to answer it, or not to."""

    def __init__(self, request: Request, connection: Connection) -> None:
        self.request = request
        self._connection = connection
        self._started = False
        self._streaming = False

    @property
    def alive(self) -> bool:
        """False from the moment the client went away or the connection was dropped."""
        return not self._connection.lost

    async def pause(self, seconds: float) -> bool:
        """Waits, at most until the client goes away. True when it is still there."""
        if seconds > 0 and self.alive:
            await self._connection.wait_lost(seconds)
        return self.alive

    async def drained(self) -> bool:
        """Waits until the last byte has left for the client, or the client has."""
        await self._connection.wait_drained()
        return self.alive

    def send(
        self,
        status: int,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        only: int | None = None,
    ) -> None:
        """A whole reply; with `only`, that many bytes of the body and then the end of the
        connection, in spite of the Content-Length."""
        head = self._head(status, content_type, headers, f"content-length: {len(body)}")
        self._started = True
        if only is None:
            self._connection.write(head + body)
        else:
            self._connection.write(head + body[:only])
            self._connection.close()

    def start_stream(
        self, status: int, *, headers: dict[str, str] | None, content_type: str
    ) -> None:
        """The head of a chunked reply."""
        self._started = self._streaming = True
        self._connection.write(
            self._head(status, content_type, headers, "transfer-encoding: chunked")
        )

    def write_chunks(self, chunks: Iterable[bytes]) -> None:
        """Each as an HTTP chunk of its own, in one write."""
        self._connection.write(b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks if c))

    def end_stream(self) -> None:
        self._streaming = False
        self._connection.write(b"0\r\n\r\n")

    def drop(self) -> None:
        """Closes the connection as it stands: without a reply, or within one."""
        self._connection.close()

    def finish(self) -> None:
        """The exchange is over. A connection with an unfinished reply cannot be used again."""
        if not self._started or self._streaming:
            self._connection.close()
        self._connection.next()

    @staticmethod
    def _head(
        status: int, content_type: str, headers: dict[str, str] | None, framing: str
    ) -> bytes:
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", f"content-type: {content_type}", framing]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


class Connection(asyncio.Protocol):
    """One client's connection. Requests are answered in turn; each counts from its arrival."""

    def __init__(self, arrive: Callable[[Exchange], Callable[[], None]]) -> None:
        """`arrive` is told of each request once it is whole, and gives back what starts it."""
        self._arrive = arrive
        self._loop = asyncio.get_running_loop()
        # Reads one request, then is replaced: replies are written by hand, so that they can break.
        self._parser = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._request = Request()
        self._body: list[bytes] = []
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False
        self._keep_alive = True
        self._paused = False
        self._sleepers: set[asyncio.Future[None]] = set()
        self._drainers: set[asyncio.Future[None]] = set()
        self.lost = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Paused whenever a byte is left unsent: that is how `drained` knows.
        self._transport.set_write_buffer_limits(high=0)

    def eof_received(self) -> None:
        # A client that closed, or will send no more: no HTTP client of ours half-closes. Told now
        # and not in connection_lost, which comes a turn of the loop later.
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()

    def _lose(self) -> None:
        self.lost = True
        # A request that waited behind another one on this connection is told as well.
        for sleeper in self._sleepers | self._drainers:
            if not sleeper.done():
                sleeper.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        for drainer in self._drainers:
            if not drainer.done():
                drainer.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.receive_data(data)
            while self._read_event():
                pass
        except h11.RemoteProtocolError:
            self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            self.close()

    # The parser's side.

    def _read_event(self) -> bool:
        """Takes one step of the parser. False when it needs more data."""
        event = self._parser.next_event()
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._complete()
        else:
            return False
        return True

    def _begin(self, event: h11.Request) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        self._request = Request(event.method.decode(), event.target.decode("latin-1"), headers)
        self._body = []
        if headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._keep_alive = event.http_version == b"1.1" and headers.get("connection") != "close"

    def _complete(self) -> None:
        self._request.body = b"".join(self._body)
        rest, _ = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER)
        if rest:
            self._parser.receive_data(rest)
        exchange = Exchange(self._request, self)
        # A client that closes one connection and then sends on another may have both seen in one
        # turn of the loop, in any order; the end of a connection whose request is still unread is
        # seen a turn after the request. Two turns later what was closed has ended for certain, so
        # that it and its successor are never counted as open together.
        self._loop.call_soon(self._loop.call_soon, self._arrived, exchange)

    def _arrived(self, exchange: Exchange) -> None:
        self._waiting.append(self._arrive(exchange))
        if not self._busy:
            self._busy = True
            self._waiting.popleft()()

    # The exchange's side.

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def next(self) -> None:
        """Starts the request that waits behind the one just answered."""
        if not self._keep_alive:
            self.close()
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._busy = False

    async def wait_lost(self, seconds: float) -> None:
        sleeper = self._loop.create_future()
        timer = self._loop.call_later(seconds, _wake, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._sleepers.discard(sleeper)

    async def wait_drained(self) -> None:
        while self._paused and not self.lost:
            drainer = self._loop.create_future()
            self._drainers.add(drainer)
            try:
                await drainer
            finally:
                self._drainers.discard(drainer)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
