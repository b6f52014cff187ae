"""Whether this process stood still: stopped by a signal, starved of the processor, swapped out.

What a call then took says nothing of its provider. Told by a thread that looks at the clock a few
times a second.
"""

import os
import threading
import time
from collections.abc import Callable

# How often the clock is looked at, and between two looks how much time may pass, in seconds.
LOOK_SECONDS = 0.25
LONGEST_SECONDS = 1.0


class Standstill:
    """Counts the times that its process stood still. Thread-safe; `clock` is injected by tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Without a thread, as in a child that was just forked."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._times = 0
        self._looked = self._clock()

    def watch(self) -> int:
        """Makes sure that somebody looks. Returns what `since` is asked with."""
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._looked = self._clock()
                    self._thread = threading.Thread(
                        target=self._look_on, name="governor-standstill", daemon=True
                    )
                    self._thread.start()
        return self._times

    def since(self, times: int) -> bool:
        """Whether the process stood still since `watch` returned `times`."""
        # It may have gone on only now, and nobody has looked yet.
        return self._times != times or self._clock() - self._looked > LONGEST_SECONDS

    def look(self) -> None:
        """What the thread does each time."""
        now = self._clock()
        if now - self._looked > LONGEST_SECONDS:
            self._times += 1
        self._looked = now

    def _look_on(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            self.look()


standstill = Standstill()

os.register_at_fork(after_in_child=standstill.begin)
