"""The one decision: what is refused, what waits, and what is reserved, all of it or nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from prefect_governor.blocks.ledger.decision.admission import (
    Gate,
    Purse,
    Refused,
    Reservation,
    Wait,
    money_is_low,
)
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.records.calls import Bound, Demand
from prefect_governor.blocks.records.limits import Rate
from tests.unit.blocks.ledger.decision.book import BOUND, NOW, admitted, ask, book, gate, purse

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
