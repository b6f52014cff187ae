"""The desk: a call ends once, by a resolve, by a death, or as its desk is closed."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import SWEEP_SECONDS, LedgerDesk
from prefect_governor.blocks.records.calls import Bound, Reply, ReplyKey, Usage
from tests.contract.conftest import (
    USAGE,
    FakeProcess,
    Flaky,
    Office,
    OpenStore,
    define,
    demand,
    in_flight,
    purse_of,
)
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import Clock

# Once


RESOLVES: dict[str, Callable[[LedgerDesk, str], "Future[None]"]] = {
    "settle": lambda desk, call_id: desk.settle(call_id, USAGE),
    "void": lambda desk, call_id: desk.void(call_id, "400"),
    "unconfirm": lambda desk, call_id: desk.unconfirm(call_id, "cut off"),
    "abandon": lambda desk, call_id: desk.abandon(call_id),
}


@pytest.mark.parametrize("again", [True, False], ids=["same transaction", "later"])
@pytest.mark.parametrize(
    ("resolve", "expected"),
    [
        ("settle", (40, 0, 0)),
        ("void", (0, 0, 0)),
        ("unconfirm", (0, 100, 0)),
        ("abandon", (0, 0, 0)),
    ],
)
def test_a_replay_of_a_resolve_is_a_no_op_with_the_same_answer(
    desk: LedgerDesk, resolve: str, expected: tuple[int, int, int], again: bool
) -> None:
    for call_id in ("a", "b"):
        desk.admit(demand(call_id))
    desk.run_once()
    answers = [RESOLVES[resolve](desk, "a")]
    if not again:
        desk.run_once()
    answers.append(RESOLVES[resolve](desk, "a"))
    desk.run_once()
    assert answers[0].exception(0) is None and answers[1].exception(0) is None
    assert answers[0].result(0) == answers[1].result(0)
    spent, unconfirmed, reserved = expected
    assert purse_of(desk.store) == (spent, unconfirmed, reserved + 100)
    assert (in_flight(desk.store), desk.stats(None).in_flight) == (1, 1)


def test_the_first_resolve_counts_whatever_follows(desk: LedgerDesk) -> None:
    desk.admit(demand("a"))
    desk.run_once()
    for resolve in ("void", "settle", "unconfirm"):
        RESOLVES[resolve](desk, "a")
    desk.run_once()
    assert purse_of(desk.store) == (0, 0, 0)


def test_an_admission_asked_again_is_the_same_one_and_a_resolved_call_never_goes_again(
    desk: LedgerDesk,
) -> None:
    desk.admit(demand("a"))
    desk.run_once()
    again = desk.admit(demand("a"))
    desk.run_once()
    assert went([again]) == [True]
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 0, 100), 1)
    desk.settle("a", USAGE)
    for_nothing = desk.admit(demand("a"))
    desk.run_once()
    assert "was made before: it is spent" in error_of(for_nothing)
    assert purse_of(desk.store) == (40, 0, 0)


def test_the_reply_comes_back_after_the_settle(desk: LedgerDesk) -> None:
    key = ReplyKey("run", "item", 0, "hash")
    desk.admit(demand("a"))
    desk.run_once()
    assert desk.reply(key) is None
    desk.settle("a", USAGE, Reply(key, b"{}", "application/json"))
    assert desk.reply(key) is None
    desk.run_once()
    assert desk.reply(key) == Reply(key, b"{}", "application/json")


# Who dies


def test_the_dead_are_charged_at_their_bound_and_their_slots_are_free(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    dying = office.desk("dying")
    for number in range(2):
        dying.admit(demand(str(number)))
    dying.run_once()
    waiting = desk.admit(demand("waiting"))
    desk.run_once()
    office.graveyard.dead.add("dying")
    clock.pass_(SWEEP_SECONDS - 1)
    desk.run_once()
    assert not waiting.done()
    clock.pass_(1)
    desk.run_once()
    assert went([waiting]) == [True]
    assert purse_of(desk.store) == (0, 200, 100)
    process = desk.process
    assert isinstance(process, FakeProcess) and process.buried == ["dying"]
    with desk.store.transaction() as rows:
        assert [row.owner for row in rows.owners()] == ["one"]


def test_who_was_only_frozen_settles_late_and_frees_no_second_slot(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    frozen = office.desk("frozen")
    frozen.admit(demand("late"))
    frozen.run_once()
    desk.run_once()
    office.graveyard.dead.add("frozen")
    clock.pass_(SWEEP_SECONDS)
    for number in range(2):
        desk.admit(demand(str(number)))
    desk.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 100, 200), 2)
    office.graveyard.dead.clear()
    frozen.settle("late", USAGE)
    frozen.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((40, 0, 200), 2)


def test_who_was_taken_for_dead_and_goes_on_is_seen_when_it_dies(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    frozen = office.desk("frozen")
    frozen.admit(demand("a"))
    frozen.run_once()
    office.graveyard.dead.add("frozen")
    clock.pass_(SWEEP_SECONDS)
    desk.run_once()
    office.graveyard.dead.clear()
    frozen.admit(demand("b"))
    frozen.run_once()
    office.graveyard.dead.add("frozen")
    clock.pass_(SWEEP_SECONDS)
    desk.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 200, 0), 0)


def test_the_first_transaction_failed_and_the_process_is_known_all_the_same(
    office: Office, flaky: Flaky
) -> None:
    desk = office.desk("flaky", flaky)
    flaky.commits_fail = True
    desk.run_once()
    flaky.commits_fail = False
    desk.run_once()
    with flaky.store.transaction() as rows:
        assert [row.owner for row in rows.owners()] == ["flaky"]


# The end


def test_what_was_asked_before_the_end_is_done_and_everybody_is_answered(
    desk: LedgerDesk, open_store: OpenStore
) -> None:
    for call_id in ("a", "b"):
        desk.admit(demand(call_id))
    queued = desk.admit(demand("queued"))
    desk.run_once()
    settled, arrived = desk.settle("a", USAGE), desk.admit(demand("arrived"))
    desk.close()
    assert settled.exception(0) is None
    assert "the process is ending" in error_of(queued)
    assert "the process is ending" in error_of(arrived)
    assert purse_of(open_store()) == (40, 100, 0)
    process = desk.process
    assert isinstance(process, FakeProcess) and process.released
    for ask in (lambda: desk.admit(demand("c")), lambda: desk.settle("b", USAGE)):
        with pytest.raises(LedgerUnavailable, match="closed"):
            ask()
    desk.close()


def test_a_threaded_desk_settles_what_is_pending_when_it_is_closed(
    open_store: OpenStore, store: Store
) -> None:
    define(store, TEAM, replace(LLM, max_concurrent=None))
    desk = LedgerDesk(open_store(), FakeProcess("threaded"))
    admissions = [desk.admit(demand(str(number), bound=Bound(10, 1, 1))) for number in range(50)]
    for each in admissions:
        each.result(30)
    settles = [desk.settle(str(number), Usage(7, 1, 1)) for number in range(50)]
    desk.close()
    assert all(each.exception(0) is None for each in settles)
    assert purse_of(store) == (350, 0, 0)


def test_a_forked_child_can_neither_use_nor_close_its_parents_desk(
    desk: LedgerDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.admit(demand("a"))
    desk.run_once()
    monkeypatch.setattr(os, "getpid", lambda: desk.process.pid + 1)
    for ask in (lambda: desk.admit(demand("b")), lambda: desk.settle("a", USAGE)):
        with pytest.raises(LedgerUnavailable, match="forked"):
            ask()
    desk.close()
    monkeypatch.undo()
    assert purse_of(desk.store) == (0, 0, 100)
    desk.settle("a", USAGE)
    desk.run_once()
    assert purse_of(desk.store) == (40, 0, 0)
