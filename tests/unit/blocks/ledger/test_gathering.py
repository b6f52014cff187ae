"""A transaction waits for others that share it, and never for long."""

from __future__ import annotations

import pytest

from prefect_governor.blocks.ledger.gathering import ENOUGH, GATHER_SECONDS, Gathering
from prefect_governor.blocks.machine.clock import Instant

MILLISECOND = 1_000_000


class _Clock:
    def __init__(self) -> None:
        self.boot = 10**12

    def __call__(self) -> Instant:
        return Instant(self.boot, 0)


@pytest.mark.parametrize(
    ("took", "shared_by", "since", "left"),
    [
        # The first after a while waits for nobody, however long the last took.
        (500, 1, 500, 0.0),
        # One that follows at once waits as long as the last took,
        (1, 1, 0, 0.001),
        (1, 1, 0.25, 0.00075),
        # and no longer than a fraction of what a call may wait,
        (500, 1, 0, GATHER_SECONDS),
        # nor where many share one anyway.
        (500, ENOUGH, 0, 0.0),
        # A clock that went back holds nobody up.
        (1, 1, -10_000, GATHER_SECONDS),
    ],
)
def test_a_transaction_waits_as_long_as_the_last_took_and_no_longer(
    took: float, shared_by: int, since: float, left: float
) -> None:
    clock = _Clock()
    gathering = Gathering(clock)
    assert gathering.left == 0.0
    gathering.begin()
    clock.boot += int(took * MILLISECOND)
    gathering.end(shared_by)
    clock.boot += int(since * MILLISECOND)
    assert gathering.left == pytest.approx(left)
