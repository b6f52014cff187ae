"""What every store must do: all or nothing, durable, shared, and nothing that cannot be."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.ledger.decision.admission import Purse, Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.calls import Bound, Reply, Usage
from tests.contract.conftest import BOUND, USAGE, OpenStore, define, demand, in_flight, purse_of
from tests.contract.store.calls import KEY, admit, settle
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import SECOND, Clock


class Stopped(Exception):
    """Something else went wrong inside a transaction."""


# All or nothing


def test_what_a_failed_transaction_wrote_is_not_there(store: Store) -> None:
    define(store, TEAM, LLM)
    with pytest.raises(Stopped), store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(demand("a"))
        batch.write()
        raise Stopped
    assert purse_of(store) == (0, 0, 0)
    assert in_flight(store) == 0
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)


def test_a_transaction_reads_what_it_wrote_and_others_do_not_before_it_ends(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    with store.transaction() as rows:
        rows.put_account(TEAM)
        rows.put_purse(Purse("team", "total", "Team", spent_nano=7))
        assert rows.purse(TEAM, "total").spent_nano == 7
        assert other.read_purse("team") is None
    assert purse_of(other) == (7, 0, 0)


def test_the_reply_is_kept_with_the_settle_or_neither_is(
    store: Store, open_store: OpenStore
) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    reply = Reply(KEY, b"\x00\xff{}", "application/json")
    with pytest.raises(Stopped), store.transaction() as rows:
        batch = Batch(rows, "one")
        assert batch.settle("a", USAGE, reply)
        batch.write()
        raise Stopped
    assert store.read_reply(KEY) is None
    assert purse_of(store) == (0, 0, 100)
    assert settle(store, "a", reply=reply)
    assert open_store().read_reply(KEY) == reply
    assert store.read_reply(replace(KEY, request_hash="another")) is None
    assert purse_of(store) == (40, 0, 0)


def test_a_replayed_settle_keeps_the_first_reply(store: Store) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    first = Reply(KEY, b"first", "text/plain")
    assert settle(store, "a", reply=first)
    assert not settle(store, "a", Usage(99, 1, 1), Reply(KEY, b"second", "text/plain"))
    assert store.read_reply(KEY) == first
    assert purse_of(store) == (40, 0, 0)


# Shared and durable


def test_a_ledger_is_one_whoever_opens_it(
    store: Store, open_store: OpenStore, tmp_path: Path, clock: Clock
) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    other = open_store()
    assert other.ledger_id == store.ledger_id
    assert settle(other, "a")
    assert purse_of(store) == (40, 0, 0)


def test_another_ledger_has_another_id(store: Store, tmp_path: Path, clock: Clock) -> None:
    other = SQLiteStore(tmp_path / "elsewhere" / "ledger.db", now=clock)
    assert other.ledger_id != store.ledger_id
    other.close()


def test_whoever_waits_is_woken_once_by_what_others_write(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    define(store, TEAM)
    assert not store.changed()
    define(store, LLM)
    assert not store.changed(), "its own writes wake nobody"
    admit(other, "a")
    assert store.changed()
    assert not store.changed()


def test_what_others_wrote_before_a_transaction_wakes_nobody_after_it(
    store: Store, open_store: OpenStore
) -> None:
    define(open_store(), TEAM, LLM)
    with store.transaction() as rows:
        assert rows.account("team") is not None
    assert not store.changed()


def test_a_write_between_the_first_transaction_and_the_first_look_is_not_missed(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    with store.transaction():
        pass
    define(other, TEAM)
    assert store.changed()


def test_looking_again_without_a_change_writes_nothing(store: Store, open_store: OpenStore) -> None:
    other = open_store()
    define(store, replace(TEAM, window="day"), LLM)
    admit(store, "a")
    admit(store, "b")
    other.changed()
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        assert not isinstance(batch.admit(demand("c")), Reservation)
        batch.write()
    assert not other.changed(), "two processes that wait would wake each other for ever"


def test_threads_that_share_a_store_take_turns(store: Store) -> None:
    define(store, TEAM)

    def spend(number: int) -> None:
        for each in range(10):
            with store.transaction() as rows:
                batch = Batch(rows, "one")
                batch.admit(demand(f"{number}-{each}", limits=(), bound=Bound(1, 0, 0)))
                batch.write()

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert purse_of(store) == (0, 0, 40)


def test_threads_that_come_and_go_leave_no_open_files(store: Store) -> None:
    store.read_reply(KEY)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        thread = threading.Thread(target=store.read_reply, args=(KEY,))
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) <= before


# What cannot be


@pytest.mark.parametrize("usage", [Usage(-1, 0, 0), Usage(0, -5, 0), Usage(10**30, 1, 1),
                                   Usage(1, 10**19, 0)])  # fmt: skip
def test_an_impossible_usage_is_nobodys_bill(store: Store, usage: Usage) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    assert settle(store, "a", usage)
    assert purse_of(store) == (0, 100, 0)
    assert in_flight(store) == 0


def test_an_impossible_retry_after_holds_a_day_at_most(store: Store, clock: Clock) -> None:
    define(store, LLM)
    for seconds in (float("nan"), -5.0, float("inf"), 1e30):
        with store.transaction() as rows:
            batch = Batch(rows, "one")
            batch.throttle(("llm",), seconds)
            batch.write()
    gate = store.read_gate("llm")
    assert gate is not None and gate.throttled == 4
    assert gate.hold_until == clock.boot + 86_400 * SECOND


def test_a_number_beyond_the_ledger_is_refused_and_nothing_else_is(store: Store) -> None:
    define(store, replace(TEAM, ceiling_nano=None), LLM)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        with pytest.raises(CallRefused, match="bound"):
            batch.admit(demand("huge", bound=Bound(10**30, 0, 0)))
        assert isinstance(batch.admit(demand("a", bound=BOUND)), Reservation)
        batch.write()
    assert purse_of(store) == (0, 0, 100)


def test_a_budget_or_limit_that_is_named_twice_is_charged_once(store: Store) -> None:
    define(store, TEAM, LLM)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(demand("a", ("team", "team"), ("llm", "llm")))
        batch.write()
    assert (purse_of(store), in_flight(store)) == ((0, 0, 100), 1)
