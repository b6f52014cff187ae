"""The desk: until when a call waits, what is seen of it, and that who leaves takes nothing."""

from dataclasses import replace

import pytest

from prefect_governor.blocks.errors import CallRefused, LedgerUnavailable, OverBudget, QueueTimeout
from prefect_governor.blocks.ledger.desk import POLL_SECONDS, LedgerDesk
from prefect_governor.blocks.records.limits import Rate
from tests.contract.conftest import USAGE, Flaky, Office, define, demand, in_flight, purse_of
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import Clock

# Until when


def test_the_queue_timeout_refuses_with_what_was_short(desk: LedgerDesk, clock: Clock) -> None:
    for number in range(2):
        desk.admit(demand(str(number)))
    late = desk.admit(demand("late"), queue_timeout_seconds=5)
    patient = desk.admit(demand("patient"))
    assert desk.run_once() == 5.0
    clock.pass_(4.999)
    desk.run_once()
    assert not late.done()
    clock.pass_(0.001)
    desk.run_once()
    assert error_of(late) == (
        "QueueTimeout: waited 5.0 s in the queue: 2 of 2 slots of limit 'llm' are taken"
    )
    assert not patient.done()
    assert purse_of(desk.store) == (0, 0, 200)


def test_a_rate_tells_when_to_ask_again(desk: LedgerDesk, clock: Clock) -> None:
    define(desk.store, replace(LLM, max_concurrent=None, rates=(Rate("requests", 1),)))
    calls = [desk.admit(demand(str(number))) for number in range(2)]
    pause = desk.run_once()
    assert pause is not None and 60 < pause < 60.6
    clock.pass_(pause - 0.001)
    desk.run_once()
    assert went(calls) == [True, False]
    clock.pass_(0.001)
    desk.run_once()
    assert went(calls) == [True, True]


def test_a_throttled_limit_holds_everyone_under_it_and_nobody_else(
    desk: LedgerDesk, clock: Clock
) -> None:
    running = desk.admit(demand("running"))
    desk.run_once()
    desk.throttled(("llm",), 7.0)
    held, other = desk.admit(demand("held")), desk.admit(demand("other", limits=("gpu",)))
    assert desk.run_once() == 7.0
    # A shorter one that comes later does not end it.
    desk.throttled(("llm",), 1.0)
    assert desk.run_once() == 7.0
    assert went([running, held, other]) == [True, False, True]
    assert "held for 7.0 s" in str(desk.stats(None).waiting_for)
    clock.pass_(7.0)
    desk.run_once()
    assert went([held]) == [True]
    gate = desk.store.read_gate("llm")
    assert gate is not None and gate.throttled == 2


def test_who_waits_behind_another_does_not_make_the_desk_spin(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    """A wait that was told once is over; who stands behind another by then waits as long as it."""
    other = office.desk("other")
    other.admit(demand("runs", limits=("gpu",)))
    other.run_once()
    desk.throttled(("llm",), 1.0)
    older = desk.admit(demand("older", limits=("llm", "gpu")))
    clock.pass_(0.1)
    younger = desk.admit(demand("younger"))
    assert desk.run_once() == 1.0
    # The older lacked the gpu. When that is free, others hold all of llm.
    clock.pass_(2.0)
    for call_id in ("x", "y"):
        other.admit(demand(call_id))
    other.settle("runs", USAGE)
    other.run_once()
    assert [desk.run_once() for _ in range(2)] == [None, None]
    assert went([older, younger]) == [False, False]


# Who leaves


def test_who_leaves_the_queue_takes_nothing(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number))) for number in range(4)]
    desk.run_once()
    left = desk.abandon("2")
    desk.run_once()
    assert left.result(0) is None and calls[2].cancelled()
    desk.settle("0", USAGE)
    desk.run_once()
    assert went([calls[3]]) == [True]
    assert in_flight(desk.store) == 2


def test_who_leaves_just_as_it_is_admitted_gives_all_of_it_back(desk: LedgerDesk) -> None:
    call = desk.admit(demand("a"))
    desk.run_once()
    assert went([call]) == [True]
    desk.abandon("a")
    desk.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 0, 0), 0)
    assert desk.stats(None).in_flight == 0


def test_who_leaves_in_the_breath_it_came_is_never_charged(desk: LedgerDesk) -> None:
    desk.admit(demand("a"))
    desk.abandon("a")
    desk.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 0, 0), 0)


def test_a_future_cancelled_while_it_waited_leaks_nothing(desk: LedgerDesk) -> None:
    call = desk.admit(demand("a"))
    assert call.cancel()
    desk.run_once()
    desk.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 0, 0), 0)


def test_an_abandon_that_fails_happens_later(office: Office, flaky: Flaky) -> None:
    define(flaky.store, TEAM, LLM)
    desk = office.desk(store=flaky)
    desk.admit(demand("a"))
    desk.run_once()
    flaky.broken = True
    assert desk.abandon("a") is not None
    desk.run_once()
    flaky.broken = False
    desk.run_once()
    assert (purse_of(flaky.store), in_flight(flaky.store)) == ((0, 0, 0), 0)


# What can be seen


def test_what_waits_in_every_process_is_told_to_whoever_leases(
    desk: LedgerDesk, office: Office
) -> None:
    other = office.desk("other")
    for number in range(5):
        desk.admit(demand(str(number)))
        other.admit(demand(f"other {number}"))
    desk.run_once()
    other.run_once()
    with desk.store.transaction() as rows:
        assert rows.demand("llm") == 2 + 3 + 5
    for number in range(5):
        other.abandon(f"other {number}")
    other.run_once()
    with desk.store.transaction() as rows:
        assert rows.demand("llm") == 2 + 3


def test_what_held_a_run_is_counted_by_the_time_it_held(desk: LedgerDesk, clock: Clock) -> None:
    for number in range(3):
        desk.admit(demand(str(number), run_id="run"))
    desk.run_once()
    clock.pass_(4)
    desk.run_once()
    stats = desk.stats("run")
    assert (stats.in_flight, stats.max_in_flight) == (2, 2)
    assert stats.held_seconds["max_concurrent"] == pytest.approx(4)
    assert stats.waiting_for == "2 of 2 slots of limit 'llm' are taken"
    assert POLL_SECONDS <= 0.05, "another process's settle is seen within 50 ms"


def test_every_error_of_the_queue_is_a_refusal_nothing_was_spent_by() -> None:
    for error in (OverBudget, QueueTimeout, LedgerUnavailable):
        assert issubclass(error, CallRefused)
