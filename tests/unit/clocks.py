"""Clocks that stand still until a test moves them."""

from dataclasses import dataclass

from prefect_governor.blocks.machine.clock import Instant

SECOND = 10**9
# 2026-11-24 10:00 UTC.
TUESDAY = 1_795_514_400 * SECOND


@dataclass
class Clock:
    """Of a ledger: the boot's and the wall's, in nanoseconds."""

    boot: int = 10**15
    wall: int = TUESDAY

    def __call__(self) -> Instant:
        return Instant(self.boot, self.wall)

    def pass_(self, seconds: float) -> None:
        self.boot += int(seconds * SECOND)
        self.wall += int(seconds * SECOND)


@dataclass
class Seconds:
    """Of one process: in seconds, from anywhere."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now
