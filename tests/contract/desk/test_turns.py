"""The desk: in what order calls go that wait."""

from dataclasses import replace

from prefect_governor.blocks.ledger.decision.turns import AGE_SECONDS
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Admission, Bound, Usage
from prefect_governor.blocks.records.limits import LimitRecord
from tests.contract.conftest import USAGE, Office, define, demand, in_flight
from tests.contract.desk.asking import went
from tests.contract.terms import LLM
from tests.unit.clocks import Clock

BIG = Bound(600, 1, 1)


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
