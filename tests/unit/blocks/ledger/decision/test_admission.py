"""The one decision: what is refused, what waits, what is charged; each call resolved once."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.admission import (
    Admitted,
    Book,
    Gate,
    Purse,
    Refused,
    Reservation,
    Wait,
    money_is_low,
)
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.limits import Meter, Rate

NOW = 10**15
BOUND = Bound(100, 30, 20)
USAGE = Usage(40, 25, 5)


def purse(name: str = "team", ceiling: int | None = 1000, **figures: int) -> Purse:
    made = Purse(name, "total", name, ceiling_nano=ceiling)
    return replace(made, **figures)  # type: ignore[arg-type]


def gate(key: str = "llm", cap: int | None = 2, *rates: Rate) -> Gate:
    return Gate(key, key, max_concurrent=cap, meters=[RateMeter(rate) for rate in rates])


def book(purses: list[Purse], gates: list[Gate]) -> Book:
    return Book(NOW, {each.key: each for each in purses}, {each.key: each for each in gates})


def ask(of: Book, bound: Bound = BOUND, call_id: str = "call") -> object:
    demand = Demand(call_id, (), (), bound)
    return of.admit(demand, list(of.purses.values()), list(of.gates.values()))


def admitted(of: Book, bound: Bound = BOUND, call_id: str = "call") -> Reservation:
    reservation = ask(of, bound, call_id)
    assert isinstance(reservation, Reservation), reservation
    return reservation


# Refused, or waiting for reservations


@pytest.mark.parametrize(
    ("spent", "unconfirmed", "reserved", "expected"),
    [
        (900, 0, 0, Reservation),
        (0, 900, 0, Reservation),
        (0, 0, 900, Reservation),
        (901, 0, 0, Refused),
        (500, 401, 0, Refused),
        (0, 0, 901, Wait),
        (900, 0, 1, Wait),
        (450, 450, 100, Wait),
        (450, 451, 0, Refused),
        (1000, 0, 0, Refused),
        (0, 0, 1000, Wait),
    ],
)
def test_over_budget_only_when_what_is_gone_and_the_bound_exceed_the_ceiling(
    spent: int, unconfirmed: int, reserved: int, expected: type
) -> None:
    of = book([purse(spent_nano=spent, unconfirmed_nano=unconfirmed, reserved_nano=reserved)], [])
    assert isinstance(ask(of), expected)


def test_a_token_ceiling_holds_beside_and_without_money() -> None:
    of = book([Purse("team", "total", "team", ceiling_tokens=100, spent_tokens=60)], [])
    verdict = ask(of)
    assert isinstance(verdict, Refused)
    assert "50 tokens" in verdict.why and "40 tokens of the 100 tokens ceiling" in verdict.why


def test_the_refusal_names_the_numbers_and_the_wait_names_what_holds_the_money() -> None:
    million = 10**6
    of = book([purse(ceiling=2000 * million, spent_nano=1990 * million)], [])
    refused = ask(of, Bound(42 * million, 1, 1))
    assert isinstance(refused, Refused)
    assert "needs $0.0420, $0.0100 of the $2.00 ceiling of budget 'team' is left" in refused.why
    of = book([purse(ceiling=2000 * million, reserved_nano=1990 * million)], [])
    waiting = ask(of, Bound(42 * million, 1, 1))
    assert isinstance(waiting, Wait)
    assert "$1.99 of the $2.00 ceiling of budget 'team' is held by reservations" in waiting.why
    assert (waiting.bottleneck, waiting.until) == ("budget_usd", None)


def test_a_ceiling_lowered_below_what_is_gone_leaves_nothing_and_not_less() -> None:
    verdict = ask(book([purse(ceiling=10, spent_nano=500)], []))
    assert isinstance(verdict, Refused)
    assert "$0.00 of the $0.000000010 ceiling" in verdict.why


def test_a_refusal_up_the_chain_is_said_though_the_leaf_only_waits() -> None:
    leaf, root = purse("leaf", reserved_nano=1000), purse("root", spent_nano=950)
    assert isinstance(ask(book([leaf, root], [])), Refused)


# All or nothing


def short_purse() -> Purse:
    return purse("short", 1000, reserved_nano=950)


def short_gate() -> Gate:
    return replace(gate("short", 1), in_flight=1)


@pytest.mark.parametrize("last", [short_purse, short_gate])
def test_one_thing_that_is_short_leaves_all_others_untouched(last: Callable[[], object]) -> None:
    lacking = last()
    purses, gates = [purse("leaf"), purse("root")], [gate("llm", 5, Rate("requests", 9))]
    if isinstance(lacking, Purse):
        purses.append(lacking)
    elif isinstance(lacking, Gate):
        gates.append(lacking)
    of, before = (
        book(purses, gates),
        book(
            [replace(each) for each in purses],
            [replace(each, meters=[RateMeter(m.rate) for m in each.meters]) for each in gates],
        ),
    )
    assert isinstance(ask(of), Wait)
    assert of == before


def test_an_admission_draws_on_every_purse_and_takes_every_slot_and_rate() -> None:
    rates = (Rate("requests", 9), Rate("tokens", 900), Rate("input_tokens", 900))
    of = book([purse("leaf"), purse("root", None)], [gate("llm", 5, *rates), gate("gpu", None)])
    reservation = admitted(of)
    assert [(each.reserved_nano, each.reserved_tokens) for each in of.purses.values()] == [
        (100, 50)
    ] * 2
    assert [each.in_flight for each in of.gates.values()] == [1, 1]
    assert [meter.used(NOW) for meter in of.gates["llm"].meters] == [1, 50, 30]
    assert reservation.purses == (("leaf", "total"), ("root", "total"))


# Gates


def wait_for(of: Gate) -> Wait | None:
    verdict = book([], [of]).decide(BOUND, [], [of])
    assert isinstance(verdict, Wait | Admitted)
    return verdict if isinstance(verdict, Wait) else None


@pytest.mark.parametrize(
    ("change", "bottleneck"),
    [
        ({"in_flight": 1}, None),
        ({"in_flight": 2}, "max_concurrent"),
        ({"in_flight": 1, "server_limit": 1}, "max_concurrent"),
        ({"in_flight": 1, "server_limit": 9}, None),
        ({"in_flight": 1, "leased": 1}, "prefect_limit"),
        ({"in_flight": 0, "leased": 0}, "prefect_limit"),
        ({"in_flight": 9, "max_concurrent": None}, None),
        ({"hold_until": NOW}, None),
        ({"hold_until": NOW + 1}, "throttled"),
    ],
)
def test_the_smallest_of_what_people_configured_and_what_is_leased_holds(
    change: dict[str, int], bottleneck: str | None
) -> None:
    verdict = wait_for(replace(gate(), **change))  # type: ignore[arg-type]
    assert (verdict and verdict.bottleneck) == bottleneck


def test_a_hold_ends_by_itself_and_a_taken_slot_does_not() -> None:
    held, full = (
        wait_for(replace(gate(), hold_until=NOW + 5)),
        wait_for(replace(gate(), in_flight=2)),
    )
    assert held is not None and held.until == NOW + 5
    assert full is not None and full.until is None


def test_of_several_waits_the_one_that_lasts_longest_is_told() -> None:
    soon, late = replace(gate("a"), hold_until=NOW + 5), replace(gate("b"), hold_until=NOW + 9)
    full = replace(gate("c"), in_flight=2)
    of = book([], [soon, late])
    verdict = ask(of)
    assert isinstance(verdict, Wait) and verdict.resource == "gate:b"
    verdict = ask(book([], [soon, full, late]))
    assert isinstance(verdict, Wait) and verdict.resource == "gate:c"


@pytest.mark.parametrize(
    ("meter", "amount", "goes"),
    [("requests", 1, 1), ("tokens", 99, 1), ("input_tokens", 60, 2), ("output_tokens", 60, 3)],
)
def test_each_rate_counts_its_own_meter(meter: Meter, amount: int, goes: int) -> None:
    of = book([], [gate("llm", None, Rate(meter, amount))])
    verdicts = [ask(of, call_id=str(number)) for number in range(4)]
    assert sum(isinstance(each, Reservation) for each in verdicts) == goes
    waiting = verdicts[-1]
    assert isinstance(waiting, Wait) and waiting.bottleneck == f"{meter}_per_minute"


# Resolved once


Resolve = Callable[[Book, Reservation], bool]
RESOLVES: dict[str, Resolve] = {
    "settle": lambda of, call: of.settle(call, USAGE),
    "void": lambda of, call: of.void(call, "refused by the provider"),
    "unconfirm": lambda of, call: of.unconfirm(call, "cut off"),
}


def figures(of: Book) -> list[tuple[int, ...]]:
    return [
        (p.spent_nano, p.unconfirmed_nano, p.reserved_nano,
         p.spent_tokens, p.unconfirmed_tokens, p.reserved_tokens)
        for p in of.purses.values()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resolve", "state", "expected"),
    [
        ("settle", "spent", (40, 0, 0, 30, 0, 0)),
        ("void", "released", (0, 0, 0, 0, 0, 0)),
        ("unconfirm", "unconfirmed", (0, 100, 0, 0, 50, 0)),
    ],
)
def test_a_resolve_moves_the_bound_once_in_every_purse_and_frees_the_slot(
    resolve: str, state: str, expected: tuple[int, ...]
) -> None:
    of = book([purse("leaf"), purse("root")], [gate()])
    reservation = admitted(of)
    assert RESOLVES[resolve](of, reservation)
    assert reservation.state == state
    assert figures(of) == [expected] * 2
    assert of.gates["llm"].in_flight == 0


@pytest.mark.parametrize("first", ["settle", "void"])
@pytest.mark.parametrize("second", list(RESOLVES))
def test_a_replay_of_a_resolve_changes_nothing(first: str, second: str) -> None:
    of = book([purse()], [gate()])
    reservation, other = admitted(of), admitted(of, call_id="other")
    assert RESOLVES[first](of, reservation)
    before = (figures(of), of.gates["llm"].in_flight, reservation.state)
    assert not RESOLVES[second](of, reservation)
    assert (figures(of), of.gates["llm"].in_flight, reservation.state) == before
    assert other.state == "reserved"


@pytest.mark.parametrize(
    ("late", "expected"), [("settle", (40, 0, 0, 30, 0, 0)), ("void", (0, 0, 0, 0, 0, 0))]
)
def test_an_unconfirmed_call_is_resolved_late_and_frees_no_second_slot(
    late: str, expected: tuple[int, ...]
) -> None:
    of = book([purse()], [gate()])
    reservation = admitted(of)
    assert RESOLVES["unconfirm"](of, reservation)
    assert not RESOLVES["unconfirm"](of, reservation)
    other = admitted(of, Bound(0, 0, 0), "other")
    assert RESOLVES[late](of, reservation)
    assert figures(of) == [expected]
    assert (of.gates["llm"].in_flight, other.state) == (1, "reserved")


def test_a_bill_above_the_bound_is_charged_in_full() -> None:
    of = book([purse(ceiling=100)], [])
    assert of.settle(admitted(of), Usage(250, 60, 60))
    assert figures(of) == [(250, 0, 0, 120, 0, 0)]
    assert isinstance(ask(of, Bound(1, 0, 0)), Refused)


@pytest.mark.parametrize(
    ("resolve", "used"), [("settle", [1, 30, 5]), ("void", [1, 0, 0]), ("unconfirm", [1, 50, 20])]
)
def test_rates_are_corrected_to_what_was_used_and_requests_stay_counted(
    resolve: str, used: list[int]
) -> None:
    rates = (Rate("requests", 9), Rate("tokens", 900), Rate("output_tokens", 900))
    of = book([], [gate("llm", 5, *rates)])
    assert RESOLVES[resolve](of, admitted(of))
    assert [meter.used(NOW) for meter in of.gates["llm"].meters] == used


def test_a_limit_that_is_gone_or_redefined_does_not_break_a_settle() -> None:
    of = book([purse()], [gate("gone"), gate("llm", 5, Rate("tokens", 900))])
    reservation = admitted(of)
    del of.gates["gone"]
    of.gates["llm"].meters = []
    assert of.settle(reservation, USAGE)
    assert of.gates["llm"].in_flight == 0


# Any course of things


@given(
    st.lists(
        st.tuples(st.sampled_from(["admit", *RESOLVES]), st.integers(0, 9), st.integers(0, 400)),
        max_size=80,
    )
)
def test_ceiling_and_cap_hold_and_every_sum_is_that_of_its_calls(
    moves: list[tuple[str, int, int]],
) -> None:
    of = book([purse("leaf", 900), purse("root", 1000)], [gate("llm", 3), gate("gpu", 5)])
    calls: list[Reservation] = []
    for number, (move, which, size) in enumerate(moves):
        if move == "admit":
            verdict = ask(of, Bound(size, size, size), str(number))
            if isinstance(verdict, Reservation):
                calls.append(verdict)
        elif calls:
            call = calls[which % len(calls)]
            if move == "settle":
                nano = min(size, call.bound.nano)
                of.settle(call, Usage(nano, nano, nano))
            else:
                RESOLVES[move](of, call)
        held = [c.bound.nano for c in calls if c.state == "reserved"]
        unknown = [c.bound.nano for c in calls if c.state == "unconfirmed"]
        spent = [c.usage.nano for c in calls if c.usage is not None]
        for each in of.purses.values():
            assert (each.spent_nano, each.unconfirmed_nano, each.reserved_nano) == (
                sum(spent), sum(unknown), sum(held)
            )  # fmt: skip
            assert each.ceiling_nano is not None
            assert sum(spent) + sum(unknown) + sum(held) <= each.ceiling_nano
        for limit in of.gates.values():
            assert limit.in_flight == len(held) <= limit.max_in_flight <= 3


# A smaller bound while money is low


@pytest.mark.parametrize(
    ("free", "bound", "low"),
    [(5000, 100, False), (4999, 100, True), (0, 1, True), (0, 0, False), (-5, 0, True)],
)
def test_money_is_low_when_a_bound_is_more_than_a_fiftieth_of_it(
    free: int, bound: int, low: bool
) -> None:
    assert money_is_low(free, bound) == low


FITTED = Bound(10, 30, 2)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"ceiling": 5000}, BOUND),
        ({"ceiling": 5000, "spent_nano": 1}, FITTED),
        ({"ceiling": 5000, "unconfirmed_nano": 1}, FITTED),
        ({"ceiling": 5000, "reserved_nano": 1}, FITTED),
        ({"ceiling": 5000, "allocated_nano": 1}, FITTED),
        ({"ceiling": None}, BOUND),
    ],
)
def test_a_fitted_bound_is_charged_while_money_is_low_in_any_purse(
    figures: dict[str, int | None], expected: Bound
) -> None:
    of = book([purse("leaf", 10**9), purse(**figures)], [])  # type: ignore[arg-type]
    demand = Demand("call", (), (), BOUND, fitted=FITTED)
    reservation = of.admit(demand, list(of.purses.values()), [])
    assert isinstance(reservation, Reservation)
    assert reservation.bound == expected
    assert of.purses[("leaf", "total")].reserved_nano == expected.nano


def test_over_budget_is_judged_by_the_fitted_bound() -> None:
    for left, kind in ((10, Reservation), (9, Refused)):
        of = book([purse(ceiling=1000, spent_nano=1000 - left)], [])
        demand = Demand("call", (), (), BOUND, fitted=FITTED)
        assert isinstance(of.admit(demand, list(of.purses.values()), []), kind)
    of = book([purse(ceiling=1000, reserved_nano=991)], [])
    waiting = of.admit(demand, list(of.purses.values()), [])
    assert isinstance(waiting, Wait) and "needs $0.000000010," in waiting.why


# Observed only


def observed(of: Book, bound: Bound = BOUND, call_id: str = "call") -> Reservation:
    demand = Demand(call_id, (), (), bound, observe=True)
    reservation = of.admit(demand, list(of.purses.values()), list(of.gates.values()))
    assert isinstance(reservation, Reservation)
    return reservation


def test_an_observed_call_is_never_held_back_and_says_what_would_have() -> None:
    of = book([purse(ceiling=250)], [gate("llm", 1, Rate("tokens", 60))])
    assert observed(of).observed == ""
    assert str(observed(of).observed).startswith("would have waited: 1 of 1 slots")
    assert "held by reservations" in str(observed(of).observed)
    assert of.gates["llm"].in_flight == 3, "what is in flight is true"
    assert of.purses[("team", "total")].reserved_nano == 300


def test_an_observed_call_would_have_been_over_budget_by_what_is_gone_as_it_ends() -> None:
    of = book([purse(ceiling=150)], [])
    first, second = observed(of), observed(of)
    assert str(second.observed).startswith("would have waited: ")
    assert of.settle(second, USAGE) and of.settle(first, USAGE)
    assert str(second.observed).startswith("would have waited: ")
    assert first.observed == ""
    third, fourth = observed(of), observed(of)
    assert of.unconfirm(third, "cut off")
    assert of.settle(fourth, USAGE)
    assert str(third.observed).startswith("would have been over budget: needs")
    assert str(fourth.observed).startswith("would have been over budget: needs")
    # It is not judged anew when it is settled late.
    before = third.observed
    assert of.settle(third, USAGE) and third.observed == before


def test_a_call_that_is_held_to_its_limits_is_not_said_to_be_observed() -> None:
    of = book([purse()], [])
    reservation = admitted(of)
    assert of.settle(reservation, Usage(5000, 1, 1)) and reservation.observed is None


@pytest.mark.parametrize("seed", range(5))
def test_what_is_observed_to_be_over_budget_agrees_with_an_enforced_run(seed: int) -> None:
    """2,000 calls of all sizes, 50 in flight, of which the ceiling pays about half."""
    chance = random.Random(seed)
    calls = [
        (Bound(nano, nano, 0), Usage(int(nano * chance.uniform(0.1, 0.9)), 0, 0))
        for nano in (chance.randint(50, 150) for _ in range(2000))
    ]
    ceiling = sum(usage.nano for _, usage in calls) // 2

    def run(observe: bool) -> int:
        of = book([purse(ceiling=ceiling)], [])
        over, flying = 0, list[Any]()
        for number, (bound, usage) in enumerate(calls):
            while True:
                if len(flying) >= 50:
                    of.settle(*flying.pop(chance.randrange(len(flying))))
                demand = Demand(str(number), (), (), bound, observe=observe)
                verdict = of.admit(demand, list(of.purses.values()), [])
                if isinstance(verdict, Reservation):
                    flying.append((verdict, usage))
                elif isinstance(verdict, Wait):
                    of.settle(*flying.pop(chance.randrange(len(flying))))
                    continue
                over += isinstance(verdict, Refused)
                ended.append(verdict)
                break
        for each in flying:
            of.settle(*each)
        return over

    ended: list[object] = []
    enforced = run(False)
    ended.clear()
    run(True)
    said = sum(
        isinstance(each, Reservation)
        and str(each.observed).startswith("would have been over budget: ")
        for each in ended
    )
    print(f"\nseed {seed}: {enforced} refused, {said} said to be over budget")
    assert enforced > 500
    assert abs(said - enforced) <= 0.05 * enforced
