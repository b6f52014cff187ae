"""The desk: who waits, in what order, and that nothing is lost or leaked whatever fails."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import (
    CallRefused,
    GovernorError,
    LedgerUnavailable,
    OverBudget,
    QueueTimeout,
)
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.decision.turns import AGE_SECONDS
from prefect_governor.blocks.ledger.desk import (
    PATIENCE_SECONDS,
    POLL_SECONDS,
    SWEEP_SECONDS,
    LedgerDesk,
)
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Admission, Bound, Reply, ReplyKey, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from tests.contract.conftest import (
    USAGE,
    Clock,
    FakeProcess,
    Flaky,
    Office,
    OpenStore,
    define,
    demand,
    in_flight,
    purse_of,
)

TEAM = Account("team", "Team", 1000, None, version="1")
LLM = LimitRecord("llm", "llm", 2)
GPU = LimitRecord("gpu", "gpu", 1)
BIG = Bound(600, 1, 1)

Futures = list["Future[Admission]"]


def went(futures: Futures) -> list[bool]:
    """Which were admitted."""
    return [each.done() and each.exception() is None for each in futures]


def error_of(future: "Future[Any]") -> str:
    assert future.done(), "nobody answered it"
    error = future.exception()
    assert error is not None
    return f"{type(error).__name__}: {error}"


@pytest.fixture
def desk(office: Office, store: Store) -> LedgerDesk:
    define(store, TEAM, LLM, GPU)
    return office.desk(store=store)


# In turn


def test_a_lane_is_served_first_come_first_served(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number))) for number in range(5)]
    desk.run_once()
    assert went(calls) == [True, True, False, False, False]
    for number in range(3):
        desk.settle(str(number), USAGE)
        desk.run_once()
        assert went(calls) == [each < number + 3 for each in range(5)]


def test_a_slot_that_comes_free_is_taken_in_the_same_transaction(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number))) for number in range(3)]
    desk.run_once()
    settled = desk.settle("0", USAGE)
    desk.run_once()
    assert settled.done() and went(calls) == [True] * 3
    assert in_flight(desk.store) == 2


def test_a_big_call_is_not_overtaken_by_small_ones_of_its_line(desk: LedgerDesk) -> None:
    holds, big = desk.admit(demand("holds", bound=BIG)), desk.admit(demand("big", bound=BIG))
    small = [desk.admit(demand(str(number), bound=Bound(1, 1, 1))) for number in range(3)]
    desk.run_once()
    assert went([holds, big, *small]) == [True] + [False] * 4
    desk.settle("holds", USAGE)
    desk.run_once()
    assert went([big, *small]) == [True, True, False, False]


def test_others_pass_a_big_call_until_it_has_waited_long_enough(
    desk: LedgerDesk, clock: Clock
) -> None:
    """The ceiling is 1000: beside 600 held and 600 kept for the big call, nothing fits."""
    limits = ("gpu",)
    holds, big = desk.admit(demand("holds", bound=BIG)), desk.admit(demand("big", bound=BIG))
    passes = desk.admit(demand("passes", limits=limits, bound=Bound(1, 1, 1)))
    desk.run_once()
    assert went([holds, big, passes]) == [True, False, True]
    desk.void("passes", "400")
    clock.pass_(AGE_SECONDS)
    late = desk.admit(demand("late", limits=limits, bound=Bound(1, 1, 1)))
    desk.run_once()
    assert went([big, late]) == [False, False]
    assert "kept for calls that have waited longer" in str(desk.stats(None).waiting_for)
    desk.settle("holds", USAGE)
    desk.run_once()
    assert went([big, late]) == [True, True]


def test_a_call_that_needs_two_limits_is_not_starved_by_those_that_need_one(
    desk: LedgerDesk, clock: Clock
) -> None:
    """One limit is always full of its own calls when the other has room, and the other way round;
    each has more calls waiting than it can take."""
    single = {
        limit: [desk.admit(demand(f"{limit}-{n}", limits=(limit,))) for n in range(60)]
        for limit in ("llm", "gpu")
    }
    desk.run_once()
    both = desk.admit(demand("both", limits=("llm", "gpu")))
    ended = {"llm": 0, "gpu": 0}
    for step in range(100):
        limit = ("llm", "gpu")[step % 2]
        desk.settle(f"{limit}-{ended[limit]}", Usage(1, 1, 0))
        ended[limit] += 1
        clock.pass_(0.5)
        desk.run_once()
        if both.done():
            break
    assert went([both]) == [True]
    assert AGE_SECONDS <= both.result(0).waited_seconds <= AGE_SECONDS + 2.5
    # Until then nobody waited for it.
    assert all(sum(went(calls)) >= 5 for calls in single.values())


def test_a_run_of_many_calls_takes_turns_with_one_of_few(desk: LedgerDesk, clock: Clock) -> None:
    many = [desk.admit(demand(f"many-{n}", run_id="many")) for n in range(50)]
    desk.run_once()
    few = [desk.admit(demand(f"few-{n}", run_id="few")) for n in range(3)]
    ended: set[str] = set()
    for _ in range(6):
        flying = [each.result(0).call_id for each in [*many, *few] if each.done()]
        call_id = next(each for each in flying if each not in ended)
        desk.settle(call_id, Usage(1, 1, 0))
        ended.add(call_id)
        clock.pass_(1)
        desk.run_once()
    assert all(went(few)) and sum(went(many)) == 2 + 3


def test_a_higher_priority_goes_first_and_first_come_first_served_within_one(
    desk: LedgerDesk, clock: Clock
) -> None:
    running = [desk.admit(demand(f"running-{n}")) for n in range(2)]
    desk.run_once()
    low = [desk.admit(demand(f"low-{n}")) for n in range(2)]
    clock.pass_(1)
    high = [desk.admit(replace(demand(f"high-{n}"), priority=1)) for n in range(2)]
    order = []
    for call in [*running, *high, *low]:
        desk.settle(call.result(0).call_id, Usage(1, 1, 0))
        before = went([*low, *high])
        desk.run_once()
        order += [
            n for n, (x, y) in enumerate(zip(before, went([*low, *high]), strict=True)) if x != y
        ]
        if len(order) == 4:
            break
    assert order == [2, 3, 0, 1]


def test_of_free_slots_a_process_leaves_others_an_even_part(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    define(desk.store, replace(LLM, max_concurrent=8))
    other = office.desk("other")
    mine = [desk.admit(demand(f"mine-{n}")) for n in range(20)]
    desk.run_once()
    assert sum(went(mine)) == 8
    theirs = [other.admit(demand(f"theirs-{n}")) for n in range(20)]
    other.run_once()
    clock.pass_(0.5)
    other.run_once()
    for number in range(8):
        desk.settle(f"mine-{number}", Usage(1, 1, 0))
    desk.run_once()
    other.run_once()
    assert (sum(went(mine)) - 8, sum(went(theirs))) == (4, 4)


def test_another_process_keeps_the_share_of_a_call_that_was_passed_for_long(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    other = office.desk("other")
    holds = desk.admit(demand("holds", bound=BIG))
    desk.run_once()
    big = other.admit(demand("big", bound=BIG))
    other.run_once()
    first = desk.admit(demand("first", limits=("gpu",), bound=Bound(1, 1, 1)))
    clock.pass_(1)
    desk.run_once()
    assert went([holds, big, first]) == [True, False, True], "others pass it for a while"
    desk.settle("first", Usage(1, 1, 0))
    clock.pass_(AGE_SECONDS)
    other.run_once()
    second = desk.admit(demand("second", limits=("gpu",), bound=Bound(1, 1, 1)))
    desk.run_once()
    assert went([second]) == [False]
    desk.settle("holds", USAGE)
    desk.run_once()
    other.run_once()
    assert went([big]) == [True]


def test_a_lane_that_needs_nothing_of_what_is_short_passes(desk: LedgerDesk) -> None:
    full = [desk.admit(demand(str(number), limits=("gpu",))) for number in range(2)]
    both = desk.admit(demand("both", limits=("gpu", "llm")))
    other = desk.admit(demand("other"))
    desk.run_once()
    assert went([*full, both, other]) == [True, False, False, True]


def test_among_lanes_the_one_that_waited_longest_is_asked_first(
    desk: LedgerDesk, clock: Clock
) -> None:
    first = desk.admit(demand("first", limits=("gpu",)))
    desk.run_once()
    clock.pass_(1)
    two_limits = desk.admit(demand("two", limits=("llm", "gpu")))
    clock.pass_(1)
    one_limit = desk.admit(demand("one", limits=("gpu",)))
    desk.run_once()
    desk.settle("first", USAGE)
    desk.run_once()
    assert went([first, two_limits, one_limit]) == [True, True, False]


def test_the_time_in_the_queue_is_told(desk: LedgerDesk, clock: Clock) -> None:
    for number in range(2):
        desk.admit(demand(str(number)))
    third = desk.admit(demand("third"))
    desk.run_once()
    clock.pass_(3.5)
    desk.void("0", "400")
    desk.run_once()
    assert third.result(0) == Admission("third", 3.5)


def test_a_limit_defined_before_a_call_is_known_to_it_however_much_is_pending(
    desk: LedgerDesk,
) -> None:
    for number in range(1000):
        desk.void(str(number), "never was")
    desk.write(lambda batch: batch.define(LimitRecord("new", "new", 1)))
    call = desk.admit(demand("a", limits=("new",)))
    desk.run_once()
    assert went([call]) == [True]


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


# Over budget


def test_the_refusal_carries_the_numbers(desk: LedgerDesk) -> None:
    define(desk.store, Account("team", "Team", 2_000_000_000, None, version="2"))
    desk.admit(demand("a", bound=Bound(1_988_700_000, 1, 1)))
    desk.run_once()
    desk.settle("a", Usage(1_988_700_000, 1, 1))
    call = desk.admit(demand("b", bound=Bound(42_000_000, 1, 1)))
    desk.run_once()
    assert error_of(call).startswith(
        "OverBudget: needs $0.0420, $0.0113 of the $2.00 ceiling of budget 'Team' is left"
    )


def test_a_call_waits_for_reservations_and_is_refused_only_when_they_are_spent(
    desk: LedgerDesk,
) -> None:
    first, second, third = (desk.admit(demand(name, bound=BIG)) for name in "abc")
    desk.run_once()
    assert went([first, second]) == [True, False]
    assert "held by reservations" in str(desk.stats(None).waiting_for)
    desk.settle("a", Usage(300, 1, 1))
    desk.run_once()
    assert went([second, third]) == [True, False] and not third.done()
    desk.settle("b", Usage(600, 1, 1))
    desk.run_once()
    assert error_of(third).startswith("OverBudget: needs")


def test_all_that_cannot_be_paid_are_refused_at_once(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number), bound=Bound(2000, 1, 1))) for number in range(600)]
    desk.run_once()
    assert all(error_of(each).startswith("OverBudget") for each in calls)


def test_unknown_budgets_and_limits_refuse_their_calls_at_once_and_no_other(
    desk: LedgerDesk,
) -> None:
    lost = [desk.admit(demand(str(n), limits=("nobody told",))) for n in range(5)]
    lost += [desk.admit(demand(f"b{n}", accounts=("nobody told",))) for n in range(5)]
    good = desk.admit(demand("good"))
    desk.run_once()
    assert all("nobody told" in error_of(each) for each in lost)
    assert went([good]) == [True]


def test_raising_the_ceiling_wakes_who_waits_and_an_older_document_does_not_count(
    desk: LedgerDesk, office: Office
) -> None:
    calls = [desk.admit(demand(name, bound=BIG)) for name in "ab"]
    desk.run_once()
    other = office.desk("other")
    desk.store.changed()
    older = other.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=9999, version="0")))
    other.run_once()
    assert older.result(0) is False
    desk.run_once()
    assert went(calls) == [True, False]
    newer = other.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=1200, version="2")))
    other.run_once()
    assert newer.result(0) is True and desk.store.changed()
    desk.run_once()
    assert went(calls) == [True, True]


def test_a_ceiling_raised_in_the_same_transaction_counts_in_it(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(name, bound=BIG)) for name in "ab"]
    desk.run_once()
    desk.settle("a", Usage(600, 1, 1))
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=1200, version="2")))
    desk.run_once()
    assert went(calls) == [True, True]


def test_a_ceiling_lowered_below_what_is_reserved_refuses_and_settles_what_goes(
    desk: LedgerDesk,
) -> None:
    desk.admit(demand("a", bound=BIG))
    desk.run_once()
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=100, version="2")))
    waiting = desk.admit(demand("b"))
    desk.run_once()
    assert not waiting.done()
    desk.settle("a", Usage(600, 1, 1))
    desk.run_once()
    assert error_of(waiting).startswith("OverBudget: needs $0.000000100, $0.00 of the")
    assert purse_of(desk.store) == (600, 0, 0)


# Limits that change, windows that end


def test_a_limit_redefined_in_mid_flight_counts_what_flies(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number))) for number in range(5)]
    desk.run_once()
    desk.write(lambda batch: batch.define(replace(LLM, max_concurrent=1)))
    desk.settle("0", USAGE)
    desk.run_once()
    assert went(calls) == [True, True, False, False, False]
    desk.settle("1", USAGE)
    desk.write(lambda batch: batch.define(replace(LLM, max_concurrent=3)))
    desk.run_once()
    assert went(calls) == [True] * 5
    assert in_flight(desk.store) == 3
    gate = desk.store.read_gate("llm")
    assert gate is not None and gate.max_in_flight == 3


def test_a_limit_defined_with_rates_in_mid_flight_is_not_corrected_by_who_never_took(
    desk: LedgerDesk,
) -> None:
    desk.admit(demand("a"))
    desk.run_once()
    desk.write(lambda batch: batch.define(replace(LLM, rates=(Rate("tokens", 500),))))
    desk.admit(demand("b"))
    desk.run_once()
    desk.settle("a", Usage(1, 0, 0))
    desk.run_once()
    gate = desk.store.read_gate("llm")
    assert gate is not None and sum(gate.meters[0].taken.values()) == 50


def test_a_call_in_flight_over_midnight_settles_into_its_own_day(
    desk: LedgerDesk, clock: Clock
) -> None:
    define(desk.store, replace(TEAM, window="day", version="2"))
    desk.admit(demand("a", bound=BIG))
    waiting = desk.admit(demand("b", bound=BIG))
    desk.run_once()
    assert not waiting.done()
    clock.pass_(86_400)
    desk.run_once()
    assert waiting.done(), "the new day has its whole ceiling"
    desk.settle("a", USAGE)
    desk.run_once()
    assert purse_of(desk.store, label="2026-11-24") == (40, 0, 0)
    assert purse_of(desk.store) == (0, 0, 600)


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


# When the ledger fails


@pytest.fixture
def shaky(office: Office, flaky: Flaky) -> LedgerDesk:
    define(flaky.store, TEAM, LLM, GPU)
    desk = office.desk("shaky", flaky)
    for call_id in ("a", "b"):
        desk.admit(demand(call_id))
    desk.run_once()
    return desk


HOWS = pytest.mark.parametrize("how", ["broken", "commits_fail", "commits_lie"])


@HOWS
def test_nobody_is_let_through_while_the_ledger_fails_and_nobody_is_refused_for_a_moment_of_it(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock, how: str
) -> None:
    setattr(flaky, how, True)
    would_go = shaky.admit(demand("would go", limits=("gpu",)))
    over = shaky.admit(demand("over", limits=(), bound=Bound(10**6, 1, 1)))
    waiting = shaky.admit(demand("waiting"))
    asked = shaky.write(lambda batch: batch.define(LLM))
    pauses = []
    for _ in range(8):
        pauses.append(shaky.run_once() or 0.0)
        clock.pass_(3)
    assert not any(each.done() for each in (would_go, over, waiting))
    assert error_of(asked) == "LedgerUnavailable: the disk is full"
    assert pauses[:2] == [0.05, 0.1] and pauses[-1] == 1.0
    setattr(flaky, how, False)
    shaky.run_once()
    assert went([would_go, waiting]) == [True, False]
    assert error_of(over).startswith("OverBudget")
    assert in_flight(flaky.store, "gpu") == 1, "admitted once, however often it was tried"


@HOWS
def test_who_has_waited_half_a_minute_for_the_ledger_is_told_why_and_holds_nothing(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock, how: str
) -> None:
    late = shaky.admit(demand("late"), queue_timeout_seconds=100)
    setattr(flaky, how, True)
    would_go = shaky.admit(demand("would go", limits=("gpu",)))
    paused = shaky.admit(demand("paused", limits=(), bound=Bound(10**6, 1, 1)), pause_seconds=3600)
    settled = shaky.settle("a", USAGE)
    shaky.run_once()
    clock.pass_(PATIENCE_SECONDS - 0.1)
    shaky.run_once()
    assert not any(each.done() for each in (late, would_go, paused, settled))
    clock.pass_(0.1)
    shaky.run_once()
    for each in (late, would_go, paused, settled):
        assert error_of(each) == "LedgerUnavailable: the disk is full"
    # Who comes now is not kept waiting for what is known to be gone.
    comes_late = shaky.admit(demand("comes late"))
    shaky.run_once()
    assert error_of(comes_late) == "LedgerUnavailable: the disk is full"
    setattr(flaky, how, False)
    shaky.run_once()
    shaky.run_once()
    assert in_flight(flaky.store, "gpu") == 0, "what was admitted and refused leaks no slot"
    assert purse_of(flaky.store) == (40, 0, 100), "and what must happen has happened"


def test_the_queue_timeout_holds_while_the_ledger_fails(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock
) -> None:
    late = shaky.admit(demand("late"), queue_timeout_seconds=5)
    flaky.commits_fail = True
    shaky.run_once()
    clock.pass_(5)
    shaky.run_once()
    assert error_of(late).startswith("QueueTimeout: waited 5.0 s")


@HOWS
def test_a_settle_that_failed_happens_later_once_and_its_caller_waits_for_it(
    shaky: LedgerDesk, flaky: Flaky, how: str
) -> None:
    key = ReplyKey("run", "item", 0, "hash")
    setattr(flaky, how, True)
    settled = shaky.settle("a", USAGE, Reply(key, b"{}", "text/plain"))
    unconfirmed = shaky.unconfirm("b", "cut off")
    shaky.run_once()
    shaky.run_once()
    assert not settled.done() and not unconfirmed.done()
    setattr(flaky, how, False)
    shaky.run_once()
    assert settled.exception(0) is None and unconfirmed.exception(0) is None
    assert (purse_of(flaky.store), in_flight(flaky.store)) == ((40, 100, 0), 0)
    assert flaky.read_reply(key) is not None
    assert shaky.stats(None).in_flight == 0


def test_work_that_never_succeeds_holds_up_nobody_for_ever(
    shaky: LedgerDesk, flaky: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(batch: Batch) -> None:
        batch.settle("a", USAGE)
        raise AssertionError("a defect")

    poisoned = shaky._ask(fails, must_happen=True)
    settled = shaky.settle("b", USAGE)
    shaky.run_once()
    assert "a defect" in error_of(poisoned)
    assert isinstance(poisoned.exception(), GovernorError)
    assert "a defect" in caplog.text
    for number in range(3):
        call = shaky.admit(demand(f"after {number}", limits=("gpu",)))
        shaky.run_once()
        assert went([call]) == [True]
        shaky.void(f"after {number}", "400")
        shaky.run_once()
    # The other settle of the failed transaction happened, half of the poisoned one did not.
    assert settled.exception(0) is None
    assert purse_of(flaky.store) == (40, 0, 100)


def test_a_request_that_is_refused_fails_alone(desk: LedgerDesk) -> None:
    def refused(batch: Batch) -> None:
        raise CallRefused("not this one")

    answer, call = desk.write(refused), desk.admit(demand("a"))
    desk.run_once()
    assert error_of(answer) == "CallRefused: not this one"
    assert went([call]) == [True]


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


def test_a_desk_closed_while_the_ledger_fails_keeps_its_lock_and_answers_all(
    shaky: LedgerDesk, flaky: Flaky
) -> None:
    queued = shaky.admit(demand("queued"))
    shaky.run_once()
    settled = shaky.settle("a", USAGE)
    flaky.broken = True
    shaky.close()
    assert "ending" in error_of(queued) and "the disk is full" in error_of(settled)
    process = shaky.process
    assert isinstance(process, FakeProcess) and not process.released


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
