"""The beginning of a fan-out: the calls of its first items leave together."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

# How long they wait for each other at the most, in seconds.
FILL_SECONDS = 3.0


class Fill:
    """What the first items wait for before they call: that as many have begun as fill the cap.
    Beginning an item takes longer than sending its call. Thread-safe.

    It ends once, for all of them: with the last, `FILL_SECONDS` after the first, or as soon as it
    is known that they cannot all begin.

    Args:
        count: how many items fill the cap; for 0 nobody waits.
        clock: monotonic seconds, injected by tests.
    """

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._missing = count
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None
        self.ended: Future[None] = Future()
        if not count:
            self.end()

    def began(self) -> None:
        """One more item has begun."""
        with self._lock:
            self._missing -= 1
            if self._until is None:
                self._until = self._clock() + FILL_SECONDS
        if self._missing <= 0:
            self.end()

    def end(self) -> None:
        """Nobody waits any longer."""
        with self._lock:
            if not self.ended.done():
                self.ended.set_result(None)

    def left(self) -> float:
        """How many seconds an item may still wait."""
        if self.ended.done() or self._until is None:
            return 0.0
        return max(0.0, self._until - self._clock())
