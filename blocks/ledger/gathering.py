"""How long a transaction waits for others to share it: batches that grow under load."""

import time
from collections.abc import Callable

from prefect_governor.blocks.machine.clock import Instant

# The longest, in seconds: a tenth of what an admission may take (P11 allows 20 ms).
GATHER_SECONDS = 0.002
# What shares a transaction pays little for it from so many on: a pair of an admission and a settle
# costs 0.86 ms of CPU in one of its own, 0.33 beside three others.
ENOUGH = 8


class Gathering:
    """After a transaction of few as long passes as it took before the next begins, within
    `GATHER_SECONDS`. It is seen where one follows another at once; a call that comes alone waits
    for nothing. Used by one thread.

    Args:
        now: the clock, injected by tests.
    """

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self._began = self._until = 0

    @property
    def left(self) -> float:
        """What is left to wait, in seconds. A clock that went back holds nobody up for longer."""
        return min(max(0.0, (self._until - self._now().boot) / 1e9), GATHER_SECONDS)

    def begin(self) -> None:
        """Wait, as a transaction is to begin. Nobody is woken for what arrives meanwhile."""
        if (left := self.left) > 0:
            time.sleep(left)
        self._began = self._now().boot

    def end(self, shared_by: int) -> None:
        """It is over; so many requests and calls shared it."""
        ended = self._now().boot
        most = int(GATHER_SECONDS * 1e9) if shared_by < ENOUGH else 0
        self._until = ended + min(ended - self._began, most)
