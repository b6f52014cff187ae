"""How long a transaction waits for others to share it: batches that grow under load."""

import time
from collections.abc import Callable
from typing import TypeVar

from prefect_governor.blocks.machine.clock import Instant

T = TypeVar("T")

# The longest, in seconds: a tenth of what an admission may take (P11 allows 20 ms).
GATHER_SECONDS = 0.002


class Gathering:
    """After a transaction as long passes as it took before the next begins, within
    `GATHER_SECONDS`. It is seen where one follows another at once; a call that comes alone waits
    for nothing. Used by one thread.

    Args:
        now: the clock, injected by tests.
    """

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self._until = 0

    def left(self) -> float:
        """What is left to wait, in seconds. A clock that went back holds nobody up for longer."""
        return min(max(0.0, (self._until - self._now().boot) / 1e9), GATHER_SECONDS)

    def then(self, transact: Callable[[], T]) -> T:
        """Wait, and do the next. Nobody is woken for what arrives meanwhile."""
        if (left := self.left()) > 0:
            time.sleep(left)
        began = self._now().boot
        done = transact()
        ended = self._now().boot
        self._until = ended + min(ended - began, int(GATHER_SECONDS * 1e9))
        return done
