"""Server-sent events, split without losing or changing a byte."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its bytes as they came (with the blank line) and its data, lines joined."""

    raw: bytes
    data: bytes | None


class EventSplitter:
    """Splits bytes that arrive in any pieces into events. Line ends may be LF, CR LF or CR."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._raw = bytearray()
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        self._pending += data
        while (line := self._line(last=False)) is not None:
            if (event := self._take(line)) is not None:
                yield event

    def flush(self) -> Iterator[Event]:
        """The stream has ended: what is left, as an event that no blank line closed."""
        while (line := self._line(last=True)) is not None:
            if (event := self._take(line)) is not None:
                yield event
        if self._raw:
            yield self._close()

    def _line(self, *, last: bool) -> bytes | None:
        """The next line with its end."""
        pending = self._pending
        ends = [at for at in (pending.find(b"\n"), pending.find(b"\r")) if at >= 0]
        if not ends:
            size = len(pending) if last else 0
        elif pending[(at := min(ends))] == ord("\n"):
            size = at + 1
        elif at + 1 == len(pending) and not last:
            # A CR at the very end: an LF that belongs to it may still come.
            size = 0
        else:
            size = at + 2 if pending[at + 1 : at + 2] == b"\n" else at + 1
        if not size:
            return None
        line = bytes(pending[:size])
        del pending[:size]
        return line

    def _take(self, line: bytes) -> Event | None:
        self._raw += line
        text = line.rstrip(b"\r\n")
        if text.startswith(b"data:"):
            self._data.append(text[5:].removeprefix(b" "))
        elif text == b"data":
            self._data.append(b"")
        return None if text else self._close()

    def _close(self) -> Event:
        event = Event(bytes(self._raw), b"\n".join(self._data) if self._data else None)
        self._raw.clear()
        self._data.clear()
        return event
