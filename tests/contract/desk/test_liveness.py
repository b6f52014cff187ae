"""Who was stopped or cut off ends its own calls first; its slots are others' only then; what it
settles late counts once."""

from collections.abc import Callable

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import (
    CUT_OFF_SECONDS,
    LOST_SECONDS,
    SWEEP_SECONDS,
    LedgerDesk,
)
from prefect_governor.blocks.records.calls import Usage
from tests.contract.conftest import (
    USAGE,
    FakeProcess,
    Flaky,
    Office,
    define,
    demand,
    in_flight,
    purse_of,
)
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import Clock


@pytest.fixture
def frozen(office: Office, desk: LedgerDesk) -> LedgerDesk:
    """Another process with both slots, that says nothing from now on."""
    other = office.desk("frozen")
    for call_id in ("a", "b"):
        other.admit(demand(call_id))
    other.run_once()
    return other


def test_a_call_admitted_before_its_process_stood_still_is_not_to_be_sent(
    desk: LedgerDesk, clock: Clock
) -> None:
    admitted = desk.admit(demand("a"))
    desk.run_once()
    admission = admitted.result(0)
    clock.pass_(CUT_OFF_SECONDS - 0.1)
    assert not desk.is_stale(admission)
    clock.pass_(0.1)
    assert desk.is_stale(admission)
    # Well before anybody else may take its slot, and that within P17's time.
    assert CUT_OFF_SECONDS + 5 <= LOST_SECONDS - SWEEP_SECONDS
    assert LOST_SECONDS + SWEEP_SECONDS < 30


def sweep(desk: LedgerDesk, clock: Clock, seconds: float) -> None:
    """Let time go by for a desk that is well."""
    for _ in range(int(seconds / SWEEP_SECONDS)):
        clock.pass_(SWEEP_SECONDS)
        desk.run_once()


def owners(store: Store) -> list[str]:
    with store.transaction() as rows:
        return sorted(row.owner for row in rows.owners())


def test_the_frozen_lose_their_slots_within_half_a_minute_and_not_before_it_is_sure(
    desk: LedgerDesk, frozen: LedgerDesk, clock: Clock
) -> None:
    waiting = desk.admit(demand("waiting"))
    sweep(desk, clock, LOST_SECONDS - SWEEP_SECONDS)
    assert not waiting.done() and in_flight(desk.store) == 2
    sweep(desk, clock, SWEEP_SECONDS)
    assert waiting.done() and purse_of(desk.store) == (0, 200, 100)
    (record, _) = desk.store.read_calls(["unconfirmed"])
    assert record.reason == f"its process has not been heard of for {LOST_SECONDS:.0f} s"
    process = desk.process
    assert isinstance(process, FakeProcess)
    assert process.buried == [], "it lives: its lock is its own"
    assert owners(desk.store) == ["one"]


def test_what_the_frozen_settle_late_counts_and_frees_no_slot_twice(
    desk: LedgerDesk, frozen: LedgerDesk, clock: Clock
) -> None:
    sweep(desk, clock, LOST_SECONDS)
    for number in range(2):
        desk.admit(demand(str(number)))
    desk.run_once()
    frozen.settle("a", USAGE)
    frozen.void("b", "400")
    frozen.run_once()
    assert (purse_of(desk.store), in_flight(desk.store)) == ((40, 0, 200), 2)
    assert owners(desk.store) == ["frozen", "one"], "and it is known again"


def test_who_says_that_it_is_there_is_left_alone(
    desk: LedgerDesk, frozen: LedgerDesk, clock: Clock
) -> None:
    for _ in range(20):
        clock.pass_(SWEEP_SECONDS)
        desk.run_once()
        frozen.run_once()
    assert purse_of(desk.store) == (0, 0, 200)


def test_who_was_cut_off_says_so_before_anything_else(
    desk: LedgerDesk, frozen: LedgerDesk, clock: Clock
) -> None:
    seen: list[tuple[int, int, int]] = []
    frozen.on_cut_off(lambda: seen.append(purse_of(desk.store)))
    clock.pass_(CUT_OFF_SECONDS - 0.1)
    frozen.settle("a", USAGE)
    frozen.run_once()
    assert seen == []
    clock.pass_(CUT_OFF_SECONDS)
    frozen.settle("b", USAGE)
    frozen.run_once()
    assert seen == [(40, 0, 100)], "the settle came after it"
    frozen.run_once()
    clock.pass_(CUT_OFF_SECONDS)
    frozen.run_once()
    assert len(seen) == 2, "once for each time"


def test_a_callback_that_fails_stops_neither_the_others_nor_the_desk(
    desk: LedgerDesk, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def fails() -> None:
        raise ValueError("a defect")

    def works() -> None:
        seen.append("called")

    callbacks: list[Callable[[], None]] = [fails, works]
    for each in callbacks:
        desk.on_cut_off(each)
    clock.pass_(CUT_OFF_SECONDS)
    call = desk.admit(demand("a"))
    desk.run_once()
    assert seen == ["called"] and call.done() and "a defect" in caplog.text


def test_a_ledger_that_was_gone_for_all_makes_nobody_lose_its_calls(
    office: Office, flaky: Flaky, clock: Clock
) -> None:
    define(flaky.store, TEAM, LLM)
    one, two = office.desk("one", flaky), office.desk("two", flaky)
    one.admit(demand("a"))
    two.admit(demand("b"))
    for each in (one, two):
        each.run_once()
    told: list[str] = []
    one.on_cut_off(lambda: told.append("one"))
    flaky.broken = True
    for _ in range(10):
        clock.pass_(4)
        one.run_once()
        two.run_once()
    assert told == ["one"]
    flaky.broken = False
    # The first one back lets the other speak before it judges it.
    one.run_once()
    assert purse_of(flaky.store) == (0, 0, 200)
    two.run_once()
    clock.pass_(SWEEP_SECONDS)
    one.run_once()
    assert purse_of(flaky.store) == (0, 0, 200)
    two.settle("b", Usage(1, 1, 1))
    two.run_once()
    assert purse_of(flaky.store) == (1, 0, 100)


def test_a_thread_of_its_own_sees_that_the_writer_is_stuck(store: Store) -> None:
    """The writer waits for the ledger and cannot look at the clock."""
    import threading

    clock, called = Clock(), threading.Event()
    desk = LedgerDesk(store, FakeProcess("stuck"), now=clock)
    entered, go_on = threading.Event(), threading.Event()

    def holds(_: object) -> None:
        entered.set()
        go_on.wait(20)

    stuck = desk.write(holds)
    assert entered.wait(30)
    desk.on_cut_off(called.set)
    clock.pass_(CUT_OFF_SECONDS)
    assert called.wait(30), "nobody looked at the clock"
    assert not stuck.done()
    go_on.set()
    stuck.result(30)
    desk.close()


def test_a_store_that_cannot_be_read_is_told_by_name(desk: LedgerDesk) -> None:
    desk.store.close()
    with pytest.raises(LedgerUnavailable):
        desk.store.read_calls(["reserved"])


def test_the_slot_of_a_dead_process_is_free_and_that_of_a_frozen_one_is_not(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    """What is done in a slot outside of calls cannot be ended from here: it goes on when a frozen
    process does, so only a death frees it."""
    other = office.desk("frozen")
    other.admit(demand("slot", accounts=()))
    other.admit(demand("call"))
    other.run_once()
    sweep(desk, clock, LOST_SECONDS + SWEEP_SECONDS)
    assert in_flight(desk.store) == 1
    assert [call.call_id for call in desk.store.read_calls(("reserved",))] == ["slot"]
    office.graveyard.dead.add("frozen")
    sweep(desk, clock, SWEEP_SECONDS)
    assert in_flight(desk.store) == 0
    # It cost nothing, so nothing is kept of it.
    assert [call.call_id for call in desk.store.read_calls(("unconfirmed", "released"))] == ["call"]
