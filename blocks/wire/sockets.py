"""The connections of this process's governed calls, so that they can be cut from any thread.

A process that was frozen for long must not go on with its calls as if nothing were: others may have
been given its slots meanwhile, and its own loops may be in no state to close anything. The sockets
are known through httpcore's `trace` extension, its public way to say what it connects, and are shut
down beneath whatever reads from them.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import httpx

logger = logging.getLogger(__name__)

_EXTENSION = "trace"
# The extension of a request that is told when its bytes leave, a `Leaving`.
LEFT = "prefect_governor_left"
# Until here no byte of a body can have left, and no provider answers what it was not asked.
_WRITES = "send_request_body.started"
_WRITTEN = "send_request_body.complete"
# What httpcore says once a connection, or the TLS over it, stands.
_MADE = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


class Leaving(Protocol):
    """Who is told when a request's bytes leave."""

    def begins(self) -> None:
        """The first byte of its body may leave from now on."""

    def __call__(self) -> None:
        """Its last byte is on its way."""


def tells(inner: object) -> bool:
    """Whether a transport says what it sends, so that of what it did not say nothing was sent."""
    # Not a class made of them, which may send by other means.
    return isinstance(inner, Telling) or type(inner) in (
        httpx.AsyncHTTPTransport,
        httpx.HTTPTransport,
    )


class Telling:
    """A transport over one that `tells`."""


class _Connections:
    """Sockets by the stream that httpcore reads them through, for as long as it has it."""

    def __init__(self) -> None:
        self.cuts = 0
        self.begin()

    def begin(self) -> None:
        """Without any, as in a child that was just forked: its parent talks over those."""
        self._lock = threading.Lock()
        self._sockets: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def note(self, event: str, info: dict[str, Any], cuts: int) -> None:
        """A connection may have been made, for a request that began after so many cuts."""
        if event.endswith(_MADE):
            stream = info.get("return_value")
            self.add(stream, stream, cuts)

    def add(self, held: Any, stream: Any, cuts: int) -> bool:
        """A connection, for as long as what holds it is there. A request that began before the last
        of the cuts gets none that works: it was to be ended too. False for one that was there."""
        new = held not in self._sockets
        if not new and cuts == self.cuts:
            return False
        find: Callable[[str], Any] | None = getattr(stream, "get_extra_info", None)
        found = None if find is None else find("socket")
        if found is not None:
            with self._lock:
                self._sockets[held] = found
                late = cuts != self.cuts
            if late:
                _shut_down(found)
        return new

    def cut(self) -> int:
        with self._lock:
            self.cuts += 1
            found = list(self._sockets.values())
        return sum(_shut_down(each) for each in found)


def _shut_down(found: Any) -> bool:
    """Ends both directions of a socket: whoever reads gets its end, and the peer is told. False for
    one that is closed already."""
    with suppress(OSError):
        if isinstance(found, socket.socket):
            # Not a TLS socket's own, which changes what the reading thread is in the midst of.
            socket.socket.shutdown(found, socket.SHUT_RDWR)
        else:
            found.shutdown(socket.SHUT_RDWR)
        return True
    return False


_CONNECTIONS = _Connections()


def cut(response: httpx.Response) -> None:
    """Shut down the connection that a reply is read from, from any thread."""
    found = getattr(response.extensions.get("network_stream"), "get_extra_info", None)
    if found is not None and (connected := found("socket")) is not None:
        _shut_down(connected)


def cut_all() -> int:
    """Shut down every connection of this process's governed transports, from any thread. The calls
    on them fail, and end as unconfirmed. Returns how many there were."""
    count = _CONNECTIONS.cut()
    if count:
        logger.warning(
            "this process was stopped or cut off for too long: its %d connections to providers"
            " were closed, and the calls on them stay charged as unconfirmed",
            count,
        )
    return count


def _tell(left: Leaving, event: str) -> None:
    if event.endswith(_WRITES):
        left.begins()
    elif event.endswith(_WRITTEN):
        left()


class _AsyncTrace:
    """Notes what connects; the caller's own trace is called all the same."""

    def __init__(self, callers: Any, left: Leaving | None = None) -> None:
        self.callers, self._left = callers, left
        self.cuts = _CONNECTIONS.cuts

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        _CONNECTIONS.note(event, info, self.cuts)
        if self._left is not None:
            _tell(self._left, event)
        if self.callers is not None:
            await self.callers(event, info)


class _BlockingTrace:
    def __init__(self, callers: Any, left: Leaving | None = None) -> None:
        self.callers, self._left = callers, left
        self.cuts = _CONNECTIONS.cuts

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        _CONNECTIONS.note(event, info, self.cuts)
        if self._left is not None:
            _tell(self._left, event)
        if self.callers is not None:
            self.callers(event, info)


class Sent:
    """A request on its way through a transport that tells by itself: what httpcore's trace tells of
    one. `begun`: some of it may have left. `traced`: a caller wants to hear of httpcore's steps.
    `not_taken`: it was given up, as its peer did not take its `size` bytes in `write_seconds`."""

    __slots__ = ("_cuts", "_left", "begun", "not_taken", "size", "traced", "write_seconds")

    def __init__(self, cuts: int, left: Leaving | None, *, traced: bool) -> None:
        self._cuts, self._left, self.traced = cuts, left, traced
        self.begun = self.not_taken = False
        self.size = 0
        self.write_seconds: float | None = None

    def leaves_by(self, held: Any, stream: Any) -> bool:
        """It has a connection, for as long as `held` is there. False for one that others had."""
        return _CONNECTIONS.add(held, stream, self._cuts)

    def begins(self) -> None:
        """Its first byte may leave from now on."""
        self.begun = True
        if self._left is not None:
            self._left.begins()

    def has_left(self) -> None:
        """Its last byte is on its way."""
        if self._left is not None:
            self._left()


def sent_of(request: httpx.Request) -> Sent:
    """A request that is about to be sent. One that was `watched` began then."""
    trace, left = request.extensions.get(_EXTENSION), request.extensions.get(LEFT)
    if isinstance(trace, _AsyncTrace):
        return Sent(trace.cuts, left, traced=trace.callers is not None)
    return Sent(_CONNECTIONS.cuts, left, traced=trace is not None)


def watched(request: httpx.Request, *, asynchronous: bool) -> httpx.Request:
    """The request, about to be sent, with what it connects noted here, and its `LEFT` called."""
    kind = _AsyncTrace if asynchronous else _BlockingTrace
    trace = request.extensions.get(_EXTENSION)
    # Sent again, it is noted anew.
    callers = trace.callers if isinstance(trace, _AsyncTrace | _BlockingTrace) else trace
    left = request.extensions.get(LEFT)
    request.extensions = {**request.extensions, _EXTENSION: kind(callers, left)}
    return request


os.register_at_fork(after_in_child=_CONNECTIONS.begin)
