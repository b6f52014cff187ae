"""Three processes at one ledger: greedy with small calls, in need of two limits, with big ones."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.turns import AGE_SECONDS
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand
from prefect_governor.blocks.records.limits import LimitRecord
from tests.chaos.ledger.desks import in_threads, open_desk
from tests.chaos.processes import FORKS, ended_well, fork

pytestmark = [pytest.mark.chaos, FORKS]

SECONDS = 30.0
CALL_SECONDS = 0.2
GREEDY = 40
CAP, CEILING = 8, 10_000
SMALL, BIG = 1_000, 7_000


def test_none_of_three_processes_waits_longer_than_twice_its_fair_share(tmp_path: Path) -> None:
    """Calls of 0.2 s: 40 threads of small ones on 8 slots, each holding a tenth of the money; calls
    that need a slot of both limits; calls that need 70% of the money.

    Fair: passed for as long as a call may be, and then for the calls that are under way to end.
    """
    desk = open_desk(tmp_path)

    def define(batch: Batch) -> None:
        batch.register(Account("team", "team", CEILING, None))
        batch.define(LimitRecord("a", "a", CAP))
        batch.define(LimitRecord("b", "b", 2))

    desk.write(define).result(30)
    desk.close()
    kinds: dict[str, Callable[[], None]] = {
        "greedy": lambda: _work(tmp_path, "greedy", ("a",), SMALL, GREEDY, 0.0),
        "both": lambda: _work(tmp_path, "both", ("a", "b"), 100, 3, 1.0),
        "big": lambda: _work(tmp_path, "big", (), BIG, 1, 1.0),
    }
    children = [fork(work) for work in kinds.values()]
    assert all([ended_well(child) for child in children])
    told = {
        name: [
            tuple(map(float, line.split())) for line in (tmp_path / name).read_text().split("\n")
        ]
        for name in kinds
    }
    waits = {name: sorted(wait for wait, _ in calls) for name, calls in told.items()}
    # In seconds and not in calls: on a busy machine each of them holds its slot for longer.
    held = {name: sum(seconds for _, seconds in calls) for name, calls in told.items()}
    fair = AGE_SECONDS + CALL_SECONDS
    for name, found in waits.items():
        print(
            f"{name}: {len(found)} calls, waits p50 {found[len(found) // 2]:.2f} s,"
            f" longest {found[-1]:.2f} s (twice the fair share: {2 * fair:.1f} s);"
            f" {held[name] / (CAP * SECONDS):.0%} of the slots' time"
        )
        assert found[-1] <= 2 * fair
    # What the others leave it: the slots, or what the money is there for beside a big call.
    beside_big = (CEILING - BIG) // SMALL
    possible = (SECONDS - held["big"]) * (CAP - held["both"] / SECONDS) + held["big"] * beside_big
    print(f"greedy had {held['greedy'] / possible:.0%} of what the others left it")
    assert held["greedy"] >= 0.75 * possible, "the others idle what they cannot use"
    assert len(waits["big"]) >= SECONDS / (2 * fair) and len(waits["both"]) >= 20


def _work(
    folder: Path, name: str, limits: tuple[str, ...], nano: int, threads: int, late: float
) -> None:
    """Ask in so many threads, one call after another; tell what each waited, and held its slot."""
    time.sleep(late)
    desk = open_desk(folder)
    end = time.monotonic() + SECONDS - late
    told: list[tuple[float, float]] = []

    def ask(thread: int) -> None:
        at = 0
        while time.monotonic() < end:
            call_id = f"{name}-{thread}-{at}"
            demand = Demand(call_id, ("team",), limits, Bound(nano, 0, 0))
            waited = desk.admit(demand).result().waited_seconds
            admitted = time.monotonic()
            time.sleep(CALL_SECONDS)
            desk.void(call_id, "over").result()
            told.append((waited, time.monotonic() - admitted))
            at += 1

    in_threads(ask, threads)
    desk.close()
    (folder / name).write_text("\n".join(f"{waited} {held}" for waited, held in told))
