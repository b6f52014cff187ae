"""A transaction waits for others that share it, and never for long."""

from __future__ import annotations

import pytest

from prefect_governor.blocks.ledger.gathering import GATHER_SECONDS, Gathering
from prefect_governor.blocks.machine.clock import Instant

MILLISECOND = 1_000_000


class _Clock:
    def __init__(self) -> None:
        self.boot = 10**12

    def __call__(self) -> Instant:
        return Instant(self.boot, 0)


@pytest.mark.parametrize(
    ("took", "since", "left"),
    [
        # The first after a while waits for nobody, however long the last took.
        (500, 500, 0.0),
        # One that follows at once waits as long as the last took,
        (1, 0, 0.001),
        (1, 0.25, 0.00075),
        # and no longer than a fraction of what a call may wait.
        (500, 0, GATHER_SECONDS),
        # A clock that went back holds nobody up.
        (1, -10_000, GATHER_SECONDS),
    ],
)
def test_a_transaction_waits_as_long_as_the_last_took_and_no_longer(
    took: float, since: float, left: float
) -> None:
    clock = _Clock()

    def transact() -> str:
        clock.boot += int(took * MILLISECOND)
        return "done"

    gathering = Gathering(clock)
    assert gathering.left() == 0.0
    assert gathering.then(transact) == "done"
    clock.boot += int(since * MILLISECOND)
    assert gathering.left() == pytest.approx(left)
