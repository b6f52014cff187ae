"""How late event loops come to what is ready: where they are, their process's core is what holds
a run back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

# How often a loop is asked, in seconds: nothing beside what it does.
PROBE_SECONDS = 0.25


@dataclass(frozen=True)
class Late:
    """Probes that came back, and how late they were, together, in seconds."""

    probes: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """How late on average; 0 where none came back."""
        return self.seconds / self.probes if self.probes else 0.0

    def since(self, before: Late) -> Late:
        """What came after `before`."""
        return Late(self.probes - before.probes, self.seconds - before.seconds)


class Lag:
    """Asks loops, one question at a time each, and measures until they come to it.

    Args:
        clock: monotonic seconds, injected by tests.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[asyncio.AbstractEventLoop, float] = {}
        self.late = Late()

    def ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask a loop, unless it has not come to the last question yet. From any thread."""
        if loop in self._asked:
            return
        self._asked[loop] = self._clock()
        try:
            loop.call_soon_threadsafe(self._came, loop)
        except RuntimeError:
            # It has ended.
            del self._asked[loop]

    def _came(self, loop: asyncio.AbstractEventLoop) -> None:
        late = self._clock() - self._asked.pop(loop)
        self.late = Late(self.late.probes + 1, self.late.seconds + late)
