"""Two processes that both have a queue get their turns, whichever came first."""

import threading
import time
from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord
from tests.chaos.processes import ended_well, fork

# Forking is the hazard here; newer Pythons warn of it wherever there are threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

CAP = 5
THREADS = 20
CALL_SECONDS = 0.05


def test_process_that_comes_late_is_not_starved_by_one_with_a_queue(tmp_path: Path) -> None:
    desk = _desk(tmp_path)

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


def _desk(folder: Path) -> LedgerDesk:
    return LedgerDesk(SQLiteStore(folder / "ledger.db"), Owner(folder / "owners"))


def _greedy(folder: Path, name: str, seconds: float) -> None:
    """Ask for more than the cap all the time; tell how many went through at the end."""
    desk = _desk(folder)
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

    threads = [threading.Thread(target=call, args=(at,)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.close()
    (folder / name).write_text(str(sum(1 for at in done if end - 1.5 <= at <= end)))
