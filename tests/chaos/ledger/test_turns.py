"""Two processes that both have a queue get their turns, whichever came first."""

import time
from pathlib import Path

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord
from tests.chaos.ledger.desks import in_threads, open_desk
from tests.chaos.processes import FORKS, ended_well, fork

pytestmark = FORKS

CAP = 5
THREADS = 20
CALL_SECONDS = 0.05


def test_process_that_comes_late_is_not_starved_by_one_with_a_queue(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)

    def define(batch: Batch) -> None:
        batch.register(Account("team", "team", 10**15, None))
        batch.define(LimitRecord("llm", "llm", CAP))

    desk.write(define).result(30)
    desk.close()
    first = fork(lambda: _greedy(tmp_path, "first", 3.0))
    time.sleep(0.5)
    late = fork(lambda: _greedy(tmp_path, "late", 2.5))
    assert ended_well(first) and ended_well(late)
    found = {name: int((tmp_path / name).read_text()) for name in ("first", "late")}
    print(f"calls in the last 1.5 s: {found}")
    assert min(found.values()) >= 0.35 * sum(found.values())


def _greedy(folder: Path, name: str, seconds: float) -> None:
    """Ask for more than the cap all the time; tell how many went through at the end."""
    desk = open_desk(folder)
    end = time.monotonic() + seconds
    done = []

    def call(thread: int) -> None:
        at = 0
        while time.monotonic() < end:
            call_id = f"{name}-{thread}-{at}"
            desk.admit(Demand(call_id, ("team",), ("llm",), Bound(10, 5, 5))).result()
            time.sleep(CALL_SECONDS)
            desk.settle(call_id, Usage(5, 3, 2)).result()
            done.append(time.monotonic())
            at += 1

    in_threads(call, THREADS)
    desk.close()
    (folder / name).write_text(str(sum(1 for at in done if end - 1.5 <= at <= end)))
