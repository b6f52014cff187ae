"""What a process remembers of a ledger's rows is never what they are no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.store import Lease
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord

BUDGET = Account("leaf", "leaf", 1_000, None, "total", version="1")
BOUND, USAGE = Bound(600, 10, 10), Usage(500, 10, 10)


def _admit(store: SQLiteStore, call_id: str) -> str:
    """What became of a call, in a transaction of its own."""
    with store.transaction() as rows:
        batch = Batch(rows, "owner")
        decision = batch.admit(Demand(call_id, ("leaf",), ("cap",), BOUND, Attribution()))
        batch.write()
    return type(decision).__name__


def _settle(store: SQLiteStore, call_id: str) -> None:
    with store.transaction() as rows:
        batch = Batch(rows, "owner")
        assert batch.settle(call_id, USAGE)
        batch.write()


@pytest.fixture
def stores(tmp_path: Path) -> tuple[SQLiteStore, SQLiteStore]:
    """The same ledger, as two processes have it open."""
    one = SQLiteStore(tmp_path / "ledger.db")
    with one.transaction() as rows:
        batch = Batch(rows, "owner")
        batch.register(BUDGET)
        batch.define(LimitRecord("cap", "cap", 1))
        batch.write()
    return one, SQLiteStore(tmp_path / "ledger.db")


def test_money_and_slots_that_another_process_took_are_not_there_twice(
    stores: tuple[SQLiteStore, SQLiteStore],
) -> None:
    here, there = stores
    assert _admit(here, "first") == "Reservation"
    _settle(here, "first")
    # Both remember the budget as it is now.
    assert _admit(there, "second") == "Refused"
    with here.transaction() as rows:
        Batch(rows, "owner").register(Account("leaf", "leaf", 2_000, None, "total", version="2"))
    assert _admit(there, "third") == "Reservation"
    # The slot is taken, and so is the money, whoever looks.
    assert _admit(here, "fourth") == "Wait"
    _settle(there, "third")
    assert _admit(here, "fifth") == "Reservation"
    assert here.read_purse("leaf") == there.read_purse("leaf")


def test_a_transaction_that_fails_is_not_remembered(
    stores: tuple[SQLiteStore, SQLiteStore],
) -> None:
    here, _ = stores
    with pytest.raises(RuntimeError), here.transaction() as rows:
        batch = Batch(rows, "owner")
        batch.admit(Demand("lost", ("leaf",), ("cap",), BOUND, Attribution()))
        batch.write()
        raise RuntimeError
    assert _admit(here, "again") == "Reservation"
    read = here.read_purse("leaf")
    assert read is not None and read[1].reserved_nano == BOUND.nano


def test_a_lease_that_is_over_admits_nobody_by_a_row_that_is_remembered(tmp_path: Path) -> None:
    start = machine_now()
    passed = [0]
    store = SQLiteStore(
        tmp_path / "ledger.db",
        now=lambda: Instant(boot=start.boot + passed[0], wall=start.wall + passed[0]),
    )
    with store.transaction() as rows:
        batch = Batch(rows, "owner")
        batch.define(LimitRecord("cap", "cap", 5, leased=True))
        rows.put_lease(Lease("lease", "cap", "server", 5, start.boot + 10))
        batch.write()
    for expected in (5, 0):
        with store.transaction() as rows:
            gate = rows.gate("cap")
            assert gate is not None and gate.leased == expected
            rows.put_gate(gate)
        passed[0] = 20


def test_the_first_calls_of_other_processes_are_heard_of_as_they_change(
    stores: tuple[SQLiteStore, SQLiteStore],
) -> None:
    here, there = stores
    for heads in ({}, {"gate:cap": Head(1)}, {"gate:cap": Head(2)}, {}):
        with there.transaction() as rows:
            rows.put_heads("there", heads)
        with here.transaction() as rows:
            assert rows.heads("here", 0) == {key: [head] for key, head in heads.items()}
            # Said long ago, they are none.
            assert rows.heads("here", rows.now.boot + 1) == {}
