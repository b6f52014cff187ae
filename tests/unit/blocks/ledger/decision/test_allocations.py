"""Parts set aside: they sum to what is held, give back and redraw before anybody is refused."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.admission import (
    Book,
    Purse,
    Refused,
    Reservation,
    Wait,
)
from prefect_governor.blocks.ledger.decision.purse import purse_of
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import Bound, Demand, Usage

TEAM = ("team", "total")


def opened(
    of: Book, key: str, nano: int, *, elastic: bool = False, group: str | None = "run"
) -> Allocation:
    """An allocation set aside in the team's purse."""
    allocation = Allocation(f"alloc/{key}", key, (TEAM,), group, elastic)
    of.purses[purse_of(allocation.key)] = Purse(*purse_of(allocation.key), key, ceiling_nano=nano)
    of.money.open(allocation)
    return allocation


def team(ceiling: int = 1000, **figures: Any) -> Book:
    return Book(10**15, {TEAM: Purse(TEAM[0], TEAM[1], "team", ceiling, **figures)})


def ask(of: Book, nano: int, under: Allocation | None = None, call_id: str = "call") -> object:
    keys = [TEAM] if under is None else [purse_of(under.key), TEAM]
    demand = Demand(call_id, tuple(key for key, _ in keys), (), Bound(nano, 1, 1))
    return of.admit(demand, [of.purses[key] for key in keys], [])


def admitted(of: Book, nano: int, under: Allocation | None = None) -> Reservation:
    reservation = ask(of, nano, under)
    assert isinstance(reservation, Reservation), reservation
    return reservation


def test_what_is_set_aside_is_refused_to_others_and_said() -> None:
    of = team()
    opened(of, "synthesis", 700)
    verdict = ask(of, 301)
    assert isinstance(verdict, Refused)
    assert "$0.000000300 of the $0.00000100 ceiling of budget 'team' is left" in verdict.why
    assert "$0.000000700 set aside in allocations" in verdict.why
    assert isinstance(ask(of, 300), Reservation)


def test_a_call_moves_its_bound_from_what_is_set_aside_to_what_is_reserved() -> None:
    of = team()
    allocation = opened(of, "synthesis", 700)
    call = admitted(of, 500, allocation)
    purse, own = of.purses[TEAM], of.purses[purse_of(allocation.key)]
    assert (purse.reserved_nano, purse.allocated_nano, own.reserved_nano) == (500, 200, 500)
    assert of.settle(call, Usage(100, 1, 1))
    assert (purse.spent_nano, purse.reserved_nano, purse.allocated_nano) == (100, 0, 600)
    assert of.money.close(allocation.key) == 600
    assert (purse.spent_nano, purse.allocated_nano) == (100, 0)


def test_a_fixed_allocation_waits_for_its_own_reservations_and_never_takes_more() -> None:
    of = team()
    allocation = opened(of, "synthesis", 300)
    first = admitted(of, 200, allocation)
    waiting = ask(of, 200, allocation)
    assert isinstance(waiting, Wait) and waiting.resource == f"purse:{allocation.key}"
    assert "allocation 'synthesis' is held by reservations" in waiting.why
    assert of.settle(first, Usage(150, 1, 1))
    refused = ask(of, 200, allocation)
    assert isinstance(refused, Refused) and "allocate more to go on" in refused.why
    assert of.purses[purse_of(allocation.key)].ceiling_nano == 300


def test_an_elastic_one_takes_what_is_free_before_what_its_group_has() -> None:
    of = team()
    one, other = opened(of, "a", 100, elastic=True), opened(of, "b", 300, elastic=True)
    admitted(of, 650, one)
    own, theirs = of.purses[purse_of(one.key)], of.purses[purse_of(other.key)]
    assert (own.ceiling_nano, theirs.ceiling_nano) == (650, 300)
    admitted(of, 200, one)
    assert (own.ceiling_nano, theirs.ceiling_nano) == (850, 150)
    purse = of.purses[TEAM]
    assert (purse.reserved_nano, purse.allocated_nano) == (850, 150)
    waits = ask(of, 151, one)
    assert isinstance(waits, Wait) and "held by reservations" in waits.why
    assert (own.ceiling_nano, theirs.ceiling_nano) == (850, 150), "who waits takes nothing"
    assert isinstance(ask(of, 1001, one), Refused)


def test_nobody_redraws_from_a_fixed_one_nor_from_another_group() -> None:
    of = team()
    one = opened(of, "a", 100, elastic=True)
    opened(of, "synthesis", 400)
    opened(of, "another run's", 400, elastic=True, group="another")
    verdict = ask(of, 201, one)
    assert isinstance(verdict, Refused), verdict
    assert "$0.000000800 set aside in allocations" in verdict.why
    assert isinstance(ask(of, 200, one), Reservation)


def test_one_inside_another_is_paid_by_it_and_by_nobody_else() -> None:
    of = team()
    outer = opened(of, "outer", 500)
    within = (purse_of(outer.key), TEAM)
    inner = Allocation("alloc/inner", "inner", within, "run", elastic=True)
    of.purses[purse_of(inner.key)] = Purse(*purse_of(inner.key), "inner", ceiling_nano=200)
    of.money.open(inner)
    around, own = of.purses[purse_of(outer.key)], of.purses[TEAM]
    assert (around.allocated_nano, own.allocated_nano) == (200, 500)
    # It grows by what is free in the outer one: around that, as much is held as before.
    keys = (purse_of(inner.key), *within)
    bound = Bound(450, 1, 1)
    call = of.admit(
        Demand("call", tuple(key for key, _ in keys), (), bound),
        [of.purses[key] for key in keys],
        [],
    )
    assert isinstance(call, Reservation)
    assert of.purses[purse_of(inner.key)].ceiling_nano == 450
    assert (around.reserved_nano, around.allocated_nano, around.rest()[0]) == (450, 0, 50)
    assert (own.reserved_nano, own.allocated_nano) == (450, 50)
    assert of.void(call, "400")
    assert (around.allocated_nano, own.reserved_nano, own.allocated_nano) == (450, 0, 500)
    assert of.money.close(inner.key) == 450
    assert (around.allocated_nano, own.allocated_nano) == (0, 500)


def test_a_late_settle_into_a_closed_allocation_counts_and_frees_nothing_twice() -> None:
    of = team()
    allocation = opened(of, "a", 500)
    call = admitted(of, 300, allocation)
    assert of.unconfirm(call, "cut off")
    assert of.money.close(allocation.key) == 200
    assert of.money.close(allocation.key) == 0
    assert of.settle(call, Usage(50, 1, 1))
    purse = of.purses[TEAM]
    assert (purse.spent_nano, purse.unconfirmed_nano, purse.allocated_nano) == (50, 0, 0)
    assert of.purses[purse_of(allocation.key)].spent_nano == 50


def test_what_an_allocation_was_billed_too_much_is_nobodys_rest() -> None:
    of = team()
    allocation = opened(of, "a", 100, elastic=True)
    assert of.settle(admitted(of, 100, allocation), Usage(180, 1, 1))
    purse = of.purses[TEAM]
    assert (purse.spent_nano, purse.allocated_nano) == (180, 0)
    admitted(of, 40, allocation)
    assert of.purses[purse_of(allocation.key)].rest() == (0, 0)
    assert (purse.reserved_nano, purse.allocated_nano) == (40, 0)


def test_an_allocation_in_a_lowered_budget_is_not_stranded_while_there_is_money() -> None:
    of = team(1000)
    allocation = opened(of, "a", 600)
    of.purses[TEAM].ceiling_nano = 50
    assert isinstance(ask(of, 51, allocation), Refused)
    assert isinstance(ask(of, 50, allocation), Reservation)
    assert isinstance(ask(of, 1, allocation), Wait)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "fixed", "nobody"]),
            st.sampled_from(["ask", "settle", "void", "unconfirm", "close"]),
            st.integers(0, 300),
        ),
        max_size=60,
    )
)
def test_any_course_keeps_the_sums_and_never_strands_a_group(
    moves: list[tuple[str, str, int]],
) -> None:
    of = team(1000)
    parts = {
        "a": opened(of, "a", 300, elastic=True),
        "b": opened(of, "b", 300, elastic=True),
        "fixed": opened(of, "fixed", 200),
    }
    calls: list[Reservation] = []
    for number, (who, move, size) in enumerate(moves):
        under = parts.get(who)
        if move == "close" and under is not None:
            of.money.close(under.key)
        elif move == "ask" and (under is None or not of.money.allocations[under.key].closed):
            verdict = ask(of, size, under, str(number))
            if isinstance(verdict, Reservation):
                calls.append(verdict)
        elif calls:
            call = calls[size % len(calls)]
            if move == "settle":
                of.settle(call, Usage(min(size, call.bound.nano), 0, 0))
            elif move == "void":
                of.void(call, "400")
            else:
                of.unconfirm(call, "cut off")
        purse = of.purses[TEAM]
        rests = [
            of.purses[purse_of(each.key)].rest()[0]
            for each in of.money.allocations.values()
            if not each.closed
        ]
        assert purse.allocated_nano == sum(rests)
        assert purse.ceiling_nano is not None
        assert purse.gone_nano + purse.reserved_nano + sum(rests) <= purse.ceiling_nano
