"""A task's time, which stands still while its calls wait for the governor.

Whoever limits how long a piece of work may take starts a `Stopwatch` around it; whatever waits for
an admission does so inside `queueing`. They find each other through the context, so a wait in a
helper thread, in a child task or in a nested flow stops the watches of all that it is part of.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count


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
        self._waits = 0
        self._running_since = clock()
        self._flights: dict[int, float] = {}
        self._ids = count()

    def deadline(self) -> float | None:
        """When the time is up, on the clock; None while it stands still."""
        with self._lock:
            if not self._waits:
                return self._running_since + self._left
            return min(self._flights.values()) + self._seconds if self._flights else None

    def wait_begins(self) -> None:
        """One more call waits."""
        with self._lock:
            if not self._waits:
                self._left -= self._clock() - self._running_since
            self._waits += 1
        self._moved()
        if self._outer is not None:
            self._outer.wait_begins()

    def wait_ends(self) -> None:
        """One call less waits: it was admitted, or refused."""
        with self._lock:
            self._waits -= 1
            if not self._waits:
                self._running_since = self._clock()
        self._moved()
        if self._outer is not None:
            self._outer.wait_ends()

    def flight(self) -> Callable[[], None]:
        """A call was admitted. What is returned says that it is over; more than once is once."""
        with self._lock:
            number = next(self._ids)
            self._flights[number] = self._clock()
        outer_lands = None if self._outer is None else self._outer.flight()

        def lands() -> None:
            with self._lock:
                self._flights.pop(number, None)
                waits = self._waits
            if waits:
                self._moved()
            if outer_lands is not None:
                outer_lands()

        return lands


current_stopwatch: ContextVar[Stopwatch | None] = ContextVar(
    "prefect_governor_stopwatch", default=None
)


@contextmanager
def queueing() -> Iterator[None]:
    """The code inside waits for the governor: no task's time passes."""
    watch = current_stopwatch.get()
    if watch is None:
        yield
        return
    watch.wait_begins()
    try:
        yield
    finally:
        watch.wait_ends()


def in_flight() -> Callable[[], None]:
    """A call of this code was admitted; call what is returned when it is over."""
    watch = current_stopwatch.get()
    return _nothing if watch is None else watch.flight()


def _nothing() -> None:
    """Nobody measures."""
