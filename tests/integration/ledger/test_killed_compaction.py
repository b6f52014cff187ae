"""Processes that sum a ledger's calls are killed by SIGKILL, again and again: no call is lost, none
is summed twice."""

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from tests.contract.conftest import demand
from tests.contract.store.test_compaction import keep, some
from tests.contract.terms import TEAM
from tests.integration.ledger.watch import soon
from tests.unit.clocks import SECOND, TUESDAY, Clock

CALLS, KILLS = 4000, 5
# Small batches, slowly: every kill is in the midst of some.
PROGRAM = """
import sys
from pathlib import Path
from prefect_governor.blocks.ledger.life.compaction import Compaction
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
where = sys.argv[1]
store = PostgresStore(where) if "://" in where else SQLiteStore(Path(where))
print("open", flush=True)
ticks = iter(range(10**9))
Compaction(store, 2**62, 2**62, size=20, seconds=lambda: float(next(ticks)),
           wait=lambda seconds: None).run()
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_in_the_midst_every_call_is_in_its_row_or_in_one_sum(
    kind: str, tmp_path: Path, url: str
) -> None:
    where = url if kind == "postgres" else str(tmp_path / "ledger" / "ledger.sqlite")
    clock, chance = Clock(), random.Random(0)
    store: Store
    if kind == "postgres":
        store = PostgresStore(url, now=clock)
    else:
        store = SQLiteStore(Path(where), now=clock)
    with store.transaction() as rows:
        rows.put_account(TEAM)
    keep(store, clock, *(some(TUESDAY + n * SECOND, flow=f"f{n % 3}") for n in range(CALLS)))
    with closing(store):
        before = store.read_spend("flow", {}, account="team")
        killed = 0
        for _ in range(KILLS):
            one, other = (start(where) for _ in range(2))
            left = len(store.read_calls(("spent",)))
            assert soon(lambda left=left: len(store.read_calls(("spent",))) < left or not left)  # type: ignore[misc]
            time.sleep(chance.random() / 100)
            for each in (one, other):
                killed += each.poll() is None
                each.send_signal(signal.SIGKILL)
                each.wait(30)
            assert store.read_spend("flow", {}, account="team") == before
        last = start(where)
        assert last.wait(120) == 0
        assert store.read_spend("flow", {}, account="team") == before
        assert not store.read_calls(("spent",))
        with store.transaction() as rows:
            # Nobody holds its lock.
            assert rows.reservations([demand("x").call_id]) == {}
    print(f"{killed} processes killed in the midst, of {2 * KILLS}")
    assert killed


def start(where: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, where], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    return process
