"""What is said to the first process of a container, and what it answers: frames over the one stream
that the engine attaches to its input and output. `supervisor.py` is the other side."""

import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

# A frame of ours: its kind, the size of what follows.
_FRAME = struct.Struct(">cI")
# One of the engine's around it: which output, the size of what follows. Source: Docker Engine API,
# "Attach to a container", stream format.
_ENGINE = struct.Struct(">BxxxI")
_STDOUT = 1
_CHUNK = 64 * 1024
# How long a socket is waited at before the one who waits looks whether he still should, in seconds.
_LOOK_SECONDS = 0.1
# The largest frame that is believed.
_MOST = 1024 * 1024

RUN, UNPACK, PACK, PING = b"R", b"U", b"P", b"N"
DATA, END, OUTPUT, ERRORS, REPORT = b"D", b"E", b"o", b"e", b"X"


class ChannelClosed(Exception):
    """The other side is gone: the container has ended, or the engine."""


class ChannelSilent(Exception):
    """The other side did not answer in time."""


class Feed:
    """What a program is given while it runs; put from any thread, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = bytearray()
        self.ended = False
        self._woken, self._wake = os.pipe()
        for each in (self._woken, self._wake):
            os.set_blocking(each, False)

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.ended = True
            os.close(self._woken)
            os.close(self._wake)

    def put(self, piece: bytes) -> None:
        """Give a piece more; of nobody who is there to have it, it is dropped."""
        self._add(b"".join(_framed(DATA, each) for each in _chunks(piece)))

    def end(self) -> None:
        """There is no more."""
        self._add(_framed(END, b""))
        self.ended = True

    def _add(self, frames: bytes) -> None:
        with self._lock:
            if self.ended:
                return
            self._frames += frames
            with suppress(BlockingIOError):
                os.write(self._wake, b"1")

    def pump(self, stream: socket.socket, seconds: float) -> bool:
        """Whether `stream` can be read, waited for so long at most; meanwhile it is written to, as
        much as it takes: whoever waits for us to read is not waited for. Raises OSError."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        with self._lock:
            more = select.POLLOUT if self._frames else 0
        poll.register(stream, select.POLLIN | more)
        # What TLS has read ahead no poll tells of.
        pending = getattr(stream, "pending", int)() > 0
        met = dict(poll.poll(0 if pending else seconds * 1000))
        if self._woken in met:
            os.read(self._woken, _CHUNK)
        ready = met.get(stream.fileno(), 0)
        if ready & select.POLLOUT:
            with self._lock:
                del self._frames[: stream.send(self._frames[:_CHUNK])]
        return pending or bool(ready & ~select.POLLOUT)

    def rest(self) -> bytes:
        """What has not been written yet; after it there is no more."""
        with self._lock:
            self.ended = True
            return bytes(self._frames)


class Channel:
    """The stream to one container's first process. For one thread at a time; `close` for any.

    Args:
        stream: the socket that is attached.
        close: closes whatever else has it open.
    """

    def __init__(self, stream: socket.socket, close: Callable[[], object] = bool) -> None:
        self._stream, self._close = stream, close
        self._stream.settimeout(_LOOK_SECONDS)
        self._raw = bytearray()
        self._said = bytearray()
        self._deadline = 0.0
        self._abandoned: Callable[[], bool] = bool
        self._feed: Feed | None = None

    def close(self) -> None:
        """This process's ends of it."""
        self._stream.close()
        self._close()

    def ask(
        self,
        kind: bytes,
        payload: bytes = b"",
        data: Iterable[bytes] | None = None,
        *,
        feed: Feed | None = None,
        seconds: float,
        abandoned: Callable[[], bool] = bool,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Ask for one thing; the frames of the answer, of which the last is its report. What `feed`
        has by then goes on meanwhile.

        Raises ChannelClosed, ChannelSilent; the latter too where it is `abandoned` meanwhile.
        """
        self._deadline = time.monotonic() + seconds
        self._abandoned = abandoned
        self._send(kind, payload)
        if data is not None:
            for chunk in data:
                for each in _chunks(chunk):
                    self._send(DATA, each)
            self._send(END)
        self._feed = feed
        while True:
            kind, payload = self._frame()
            if kind == REPORT and feed is not None:
                # It may have stopped in the midst of a frame.
                self._feed = None
                self._write(feed.rest())
            yield kind, payload
            if kind == REPORT:
                return

    def report(self, kind: bytes, data: Iterable[bytes] | None = None, **how: Any) -> Any:
        """Ask for something of which nothing but the report matters."""
        return read_report(list(self.ask(kind, b"", data, **how))[-1][1])

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        self._write(_framed(kind, payload))

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._check()
            try:
                rest = rest[self._stream.send(rest) :]
            except TimeoutError:
                continue
            except OSError as error:
                raise ChannelClosed(str(error)) from None

    def _frame(self) -> tuple[bytes, bytes]:
        kind, size = _FRAME.unpack(self._exactly(_FRAME.size))
        if size > _MOST:
            raise ChannelClosed("it says what the first process never says")
        return kind, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        while len(self._said) < size:
            self._unwrap()
        found = bytes(self._said[:size])
        del self._said[:size]
        return found

    def _unwrap(self) -> None:
        """The next frame of the engine's; what is said on standard error is nobody's."""
        while len(self._raw) < _ENGINE.size:
            self._receive()
        which, size = _ENGINE.unpack_from(self._raw)
        while len(self._raw) < _ENGINE.size + size:
            self._receive()
        if which == _STDOUT:
            self._said += self._raw[_ENGINE.size : _ENGINE.size + size]
        del self._raw[: _ENGINE.size + size]

    def _receive(self) -> None:
        while True:
            self._check()
            try:
                if self._feed is not None and not self._feed.pump(self._stream, _LOOK_SECONDS):
                    continue
                found = self._stream.recv(_CHUNK)
            except TimeoutError:
                continue
            except OSError as error:
                raise ChannelClosed(str(error)) from None
            if not found:
                raise ChannelClosed("its stream has ended")
            self._raw += found
            return

    def _check(self) -> None:
        if time.monotonic() > self._deadline or self._abandoned():
            raise ChannelSilent("it does not answer")


def _framed(kind: bytes, payload: bytes) -> bytes:
    return _FRAME.pack(kind, len(payload)) + payload


def _chunks(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))


def read_report(payload: bytes) -> Any:
    """What a report says. Raises ChannelClosed for what is none."""
    try:
        return json.loads(payload)
    except ValueError:
        raise ChannelClosed("its report is none") from None
