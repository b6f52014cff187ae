"""A call that was admitted: resolved once, charged for what it cost, or only observed."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.admission import Book, Refused, Reservation, Wait
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.limits import Rate
from tests.unit.blocks.ledger.decision.book import BOUND, NOW, admitted, ask, book, gate, purse

USAGE = Usage(40, 25, 5)
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
