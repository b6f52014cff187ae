"""Forks of a parent that uses the ledger: each side's claims and writes are its own."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.calls import Usage
from tests.chaos.ledger.desks import BOUND, demand, open_desk, set_up
from tests.chaos.processes import FORKS, ended_well, fork, kill

pytestmark = FORKS


@pytest.mark.parametrize("forgets", [True, False])
def test_a_parents_death_is_seen_though_its_child_lives(tmp_path: Path, forgets: bool) -> None:
    read, write = os.pipe()

    def parent() -> None:
        owner = Owner(tmp_path)

        def child() -> None:
            if forgets:
                owner.forget()
            os.write(write, os.getpid().to_bytes(4, "little"))
            time.sleep(60)

        os.write(write, owner.id.encode())
        fork(child)
        time.sleep(60)

    pid = fork(parent)
    name = os.read(read, 32).decode()
    child = int.from_bytes(os.read(read, 4), "little")
    prober = Owner(tmp_path)
    try:
        assert not prober.is_dead(name)
        kill(pid)
        # A child that does not forget is why a child must.
        assert prober.is_dead(name) == forgets
    finally:
        os.kill(child, signal.SIGKILL)
        prober.release()


def test_a_child_that_forgets_and_releases_leaves_its_parents_claim_alone(tmp_path: Path) -> None:
    owner = Owner(tmp_path)

    def child() -> None:
        owner.forget()
        owner.forget()
        owner.release()

    assert ended_well(fork(child))
    prober = Owner(tmp_path)
    assert not prober.is_dead(owner.id)
    owner.release()
    assert prober.is_dead(owner.id)
    prober.release()


def test_a_forked_childs_writes_outlive_its_parents_connection(tmp_path: Path) -> None:
    """SQLite lets a child believe that it holds its parent's file locks. When the parent then
    closes, the log that the child writes to is deleted: two ledgers, two ceilings."""
    set_up(tmp_path, ceiling=1000, cap=9)
    inherited = SQLiteStore(tmp_path / "ledger.db")
    inherited.read_gate("llm")
    go_read, go_write = os.pipe()
    told_read, told_write = os.pipe()

    def child() -> None:
        store = SQLiteStore(tmp_path / "ledger.db")
        for number in range(2):
            with store.transaction() as rows:
                batch = Batch(rows, "child")
                batch.admit(demand(f"child {number}"))
                batch.write()
            os.write(told_write, b".")
            os.read(go_read, 1)

    pid = fork(child)
    os.read(told_read, 1)
    inherited.close()
    os.write(go_write, b".")
    os.read(told_read, 1)
    later = SQLiteStore(tmp_path / "ledger.db")
    known = later.read_purse("root")
    os.write(go_write, b".")
    assert ended_well(pid)
    assert known is not None and known[1].reserved_nano == 2 * BOUND.nano
    later.close()


def test_a_fork_in_the_midst_of_transactions_leaves_both_sides_working(tmp_path: Path) -> None:
    set_up(tmp_path, ceiling=None, cap=10**6)
    desk = open_desk(tmp_path)
    owner = desk.process
    assert isinstance(owner, Owner)
    stop = threading.Event()
    failures: list[BaseException] = []

    def spend() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                desk.admit(demand(f"parent {number}")).result(30)
                desk.settle(f"parent {number}", Usage(1, 1, 1)).result(30)
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=spend)
    thread.start()
    for each in range(10):

        def child(each: int = each) -> None:
            owner.forget()
            # The parent's desk is not this process's, and closing it here closes nothing.
            desk.close()
            mine = open_desk(tmp_path)
            mine.admit(demand(f"child {each}")).result(30)
            mine.settle(f"child {each}", Usage(1000, 1, 1)).result(30)
            mine.close()

        assert ended_well(fork(child), 20)
    stop.set()
    thread.join()
    assert not failures
    desk.close()
    store = SQLiteStore(tmp_path / "ledger.db")
    known = store.read_purse("root")
    assert known is not None
    purse = known[1]
    assert (purse.unconfirmed_nano, purse.reserved_nano) == (0, 0)
    assert purse.spent_nano > 10 * 1000
    store.close()
