"""A task's time, which stands still while its calls wait for the governor.

Whoever limits how long a piece of work may take starts a `Stopwatch` around it; whatever waits for
an admission does so inside `queueing`. They find each other through the context, so a wait in a
helper thread, in a child task or in a nested flow stops the watches of all that it is part of.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from itertools import count

from prefect_governor.blocks.machine.endings import Block


class Stopwatch:
    """The time that work under it may take, in seconds, without what it waits in the queue.

    It stands still while any of its calls waits. What is in flight meanwhile may take the whole of
    `seconds` from when it was admitted, so that a call that hangs is ended though others wait
    behind it. `moved` is called, in whatever thread, when the deadline has changed. `outer` is the
    watch of the work that this is part of: it stands still too.
    """

    def __init__(
        self,
        seconds: float,
        moved: Callable[[], None],
        *,
        outer: "Stopwatch | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = self._left = seconds
        self._moved = moved
        self._outer = outer
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: set[object] = set()
        self._running_since = clock()
        self._flights: dict[int, float] = {}
        self._ids = count()

    def deadline(self) -> float | None:
        """When the time is up, on the clock; None while it stands still."""
        with self._lock:
            if not self._waits:
                return self._running_since + self._left
            return min(self._flights.values()) + self._seconds if self._flights else None

    def wait_begins(self, wait: object) -> None:
        """One more call waits; `wait` is said again when it ends."""
        with self._lock:
            if not self._waits:
                self._left -= self._clock() - self._running_since
            self._waits.add(wait)
        self._moved()
        if self._outer is not None:
            self._outer.wait_begins(wait)

    def wait_ends(self, wait: object) -> None:
        """It was admitted, or refused. Said more than once, or of one that never began, it is
        nothing."""
        with self._lock:
            if self._waits == {wait}:
                self._running_since = self._clock()
            self._waits.discard(wait)
        self._moved()
        if self._outer is not None:
            self._outer.wait_ends(wait)

    def flight(self) -> Callable[[], None]:
        """A call was admitted. What is returned says that it is over; more than once is once."""
        with self._lock:
            number = next(self._ids)
            self._flights[number] = self._clock()
        outer_lands = None if self._outer is None else self._outer.flight()

        def lands() -> None:
            with self._lock:
                self._flights.pop(number, None)
                waits = bool(self._waits)
            if waits:
                self._moved()
            if outer_lands is not None:
                outer_lands()

        return lands


current_stopwatch: ContextVar[Stopwatch | None] = ContextVar(
    "prefect_governor_stopwatch", default=None
)


class _Queueing(Block):
    def __init__(self, watch: Stopwatch) -> None:
        self._stopwatch = watch

    def __enter__(self) -> None:
        self._stopwatch.wait_begins(self)

    def end(self) -> None:
        self._stopwatch.wait_ends(self)


def queueing() -> AbstractContextManager[None]:
    """The code inside waits for the governor: no task's time passes."""
    watch = current_stopwatch.get()
    return nullcontext() if watch is None else _Queueing(watch)


def in_flight() -> Callable[[], None]:
    """A call of this code was admitted; call what is returned when it is over."""
    watch = current_stopwatch.get()
    return _nothing if watch is None else watch.flight()


def _nothing() -> None:
    """Nobody measures."""
