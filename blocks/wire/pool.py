"""Connections that cost the same however many there are: aiohttp's, behind httpx's interface.

httpcore looks through every connection of its pool at every step of every request. aiohttp takes
the next idle one from a queue, and reads and writes through the loop's own protocols. What the wire
must know is known here as it is of httpcore: when bytes leave, and by which socket (`sockets`).
"""

import asyncio
import atexit
import inspect
import io
import os
import select
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
import anyio
import httpx
from yarl import URL

from prefect_governor.blocks.wire.plain import is_httpxs_own, is_plain, pairs_of
from prefect_governor.blocks.wire.sockets import Sent, Telling, sent_of

# What h11, beneath httpcore, takes of a reply's headers in all; aiohttp's own is 8,190 each.
HEADER_BYTES = 100 * 1024
# Their number, which h11 does not bound and an older aiohttp neither; a newer one's own is 128.
_NUMBER = "max_headers"
_KNOWN = inspect.signature(aiohttp.ClientSession).parameters
_MOST_HEADERS: dict[str, Any] = {_NUMBER: 2000} if _NUMBER in _KNOWN else {}
# A body that fits into asyncio's buffer never waits for its peer; from here on it may.
BUFFERED_BYTES = 64 * 1024
# Above it aiohttp warns of bytes that are sent in one piece.
ONE_PIECE_BYTES = 1024 * 1024

# aiohttp's own, which are no part of what was asked for.
_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")
_sending: ContextVar[Sent | None] = ContextVar("prefect_governor_pool", default=None)


class PooledTransport(httpx.AsyncBaseTransport, Telling):
    """An asynchronous httpx transport with a pool of connections for each event loop.

    HTTP/1.1, certificates as httpx has them (`SSL_CERT_FILE`, `SSL_CERT_DIR`), no proxies, no
    bound on the connections: of `limits` the seconds count that one is kept idle. Timeouts are
    httpx's; that of the pool says nothing here. A request is sent once, by a connection that its
    peer has not ended. What aiohttp cannot send as it is (a body that is a stream or not of the
    length that is said, a caller's `trace`, `target` or `sni_hostname`) goes out through httpx's
    own transport with these limits; so does all where somebody has put a mock or an
    instrumentation in that one's place.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._tls: ssl.SSLContext | None = None
        self._other: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's errors: `ConnectError` and `ConnectTimeout` only where nothing left."""
        sent = sent_of(request)
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(
                f"the address has to begin with http:// or https://, not {request.url.scheme!r}"
            )
        if isinstance(request.stream, httpx.ByteStream):
            # That of a redirect is not read yet.
            await request.aread()
        headers = pairs_of(request)
        url = URL(str(request.url), encoded=True)
        if headers is None or not is_httpxs_own() or not is_plain(request, url, sent):
            if self._other is None:
                self._other = httpx.AsyncHTTPTransport(limits=self._limits)
            return await self._other.handle_async_request(request)
        session = self._session()
        timeout = request.extensions.get("timeout", {})
        body = request.content
        sent.size, sent.write_seconds = len(body), timeout.get("write")
        times = aiohttp.ClientTimeout(
            total=None, connect=timeout.get("connect"), sock_read=timeout.get("read")
        )
        token, reply = _sending.set(sent), None
        try:
            while reply is None:
                with suppress(_Ended):
                    reply = await session.request(
                        request.method,
                        url,
                        data=io.BytesIO(body) if len(body) > ONE_PIECE_BYTES else body or None,
                        headers=headers,
                        allow_redirects=False,
                        timeout=times,
                    )
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise _as_httpx(error, sent) from None
        finally:
            _sending.reset(token)
        said = reply.version or aiohttp.HttpVersion11
        extensions: dict[str, Any] = {"http_version": b"HTTP/%d.%d" % (said.major, said.minor)}
        if reply.reason:
            extensions["reason_phrase"] = reply.reason.encode("ascii", "ignore")
        return httpx.Response(
            reply.status,
            headers=list(reply.raw_headers),
            stream=_Body(reply, sent, timeout.get("read")),
            extensions=extensions,
        )

    async def aclose(self) -> None:
        here = asyncio.get_running_loop()
        with _lock:
            pools, self._pools = self._pools, {}
        for loop, pool in pools.items():
            if loop is here:
                await pool.session.close()
        if self._other is not None:
            await self._other.aclose()

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            with _lock:
                # A closed loop's connections died with it.
                for each in [each for each in self._pools if each.is_closed()]:
                    del self._pools[each]
                if self._tls is None:
                    self._tls = httpx.create_ssl_context()
                    self._tls.set_alpn_protocols(["http/1.1"])
                pool = self._pools[loop] = _Pool(self._tls, self._limits.keepalive_expiry)
        return pool.session


class _Pool:
    """The connections of the running loop. Nobody has to close it."""

    def __init__(self, tls: ssl.SSLContext, idle_seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=idle_seconds,
            ssl=tls,
            resolver=aiohttp.ThreadedResolver(),
        )
        self.session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED,
            auto_decompress=False,
            request_class=_Request,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            **_MOST_HEADERS,
        )
        _pools.add(self)

    def drop(self) -> None:
        """Without a word, and without the loop where it is closed: its connections died with it."""
        if self.session.closed:
            return
        if self._loop.is_closed():
            self.session.detach()
            for _ in self._connector.close().__await__():
                """Nothing is left to wait for."""
        else:
            self._loop.call_soon_threadsafe(_close_soon, self.session)

    def __del__(self, quietly: Any = suppress) -> None:
        # At a process's very end a module has no names any more.
        with quietly(Exception):
            self.drop()


_lock = threading.Lock()
_pools: WeakSet[_Pool] = WeakSet()
# What a forked child inherits and must neither use nor close: its parent talks over it.
_parents: list[_Pool] = []
# Tasks that close what nobody has any more: a loop holds its tasks weakly.
_closing: set["asyncio.Task[None]"] = set()


def _close_soon(session: aiohttp.ClientSession) -> None:
    task = asyncio.ensure_future(session.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def _at_exit() -> None:
    for pool in list(_pools):
        with suppress(Exception):
            pool.drop()


def _after_fork() -> None:
    global _lock
    # Somebody may have held it during the fork.
    _lock = threading.Lock()
    _parents.extend(_pools)
    _pools.clear()
    _closing.clear()


class _Ended(Exception):
    """Nothing was sent: the connection was kept idle, and its peer has ended it."""


class _Request(aiohttp.ClientRequest):
    """Tells that its bytes leave, and by which connection."""

    # Whether this aiohttp writes bodies where it is told here: until one was, a request may leave
    # as soon as it has a connection.
    _writes_here = False

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        sent = _sending.get()
        assert sent is not None
        if sent.begun:
            # aiohttp sends again by itself what it takes to be harmless (a GET, a PUT).
            raise aiohttp.ServerDisconnectedError
        if not sent.leaves_by(conn.protocol, conn.transport) and _is_readable(conn.transport):
            raise _Ended
        # With its body, which before Python 3.12 a task of its own writes.
        if not sent.size or not _Request._writes_here:
            sent.begins()
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, *rest: Any, **more: Any) -> None:
        sent, timer = _sending.get(), None
        assert sent is not None
        _Request._writes_here = True
        sent.begins()
        if sent.write_seconds is not None and sent.size > BUFFERED_BYTES:
            timer = self.loop.call_later(sent.write_seconds, _give_up, sent, conn)
        try:
            await super().write_bytes(writer, conn, *rest, **more)
        finally:
            if timer is not None:
                timer.cancel()
        sent.has_left()


def _is_readable(transport: Any) -> bool:
    """Whether something came in that the loop has not seen yet. Of a connection that was idle it is
    its end, which a loop that was busy, or one whose sockets were cut, comes to see too late."""
    connected = None if transport is None else transport.get_extra_info("socket")
    if connected is None:
        return True
    if (number := connected.fileno()) < 0:
        return True
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def _give_up(sent: Sent, conn: Any) -> None:
    sent.not_taken = True
    if conn.transport is not None:
        conn.transport.abort()


class _Body(httpx.AsyncByteStream):
    """What a reply holds, as it comes: not decoded, which httpx does."""

    def __init__(
        self, reply: aiohttp.ClientResponse, sent: Sent, read_seconds: float | None
    ) -> None:
        self._reply, self._sent, self._read_seconds = reply, sent, read_seconds
        # aiohttp's own time runs on while nobody reads: a slow reader lost what came meanwhile.
        protocol = None if reply.connection is None else reply.connection.protocol
        if protocol is not None:
            protocol.read_timeout = None
            protocol.start_timeout()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._reply.content
        try:
            while True:
                if content.is_eof():
                    # All of it is here: there is nothing to wait for.
                    piece = content.read_nowait()
                else:
                    with anyio.fail_after(self._read_seconds):
                        piece = await content.readany()
                if not piece:
                    return
                yield piece
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise _as_httpx(error, self._sent) from None

    async def aclose(self) -> None:
        # What was read to its end has gone back to the pool.
        self._reply.close()


def _as_httpx(error: BaseException, sent: Sent) -> httpx.TransportError:
    """By what may have left of the request. Its text holds no address, in which a key may be."""
    if sent.not_taken:
        return httpx.WriteTimeout("the request was not taken in time")
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    text = str(cause) if cause is not None else type(error).__name__
    if not sent.begun:
        late = isinstance(error, asyncio.TimeoutError | TimeoutError)
        return (httpx.ConnectTimeout if late else httpx.ConnectError)(text)
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return httpx.ReadTimeout(text)
    unclean = (
        aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError,
    )  # fmt: skip
    return (httpx.RemoteProtocolError if isinstance(error, unclean) else httpx.ReadError)(text)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
