"""When money runs low, the cheaper models of a list are asked, and the report says so."""

from decimal import Decimal

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.models.fallback import models_to_ask
from prefect_governor.blocks.prices.tariffs import Price, Rates, Tariff
from tests.unit.fakes import FakeGoverning

NAMES = ("dear", "dearer", "cheap", "mixed", "unpriced", "cheapest")


def price(name: str) -> Price | None:
    figures = {
        "dear": ("10", "30"),
        "dearer": ("10", "31"),
        "cheap": ("10", "20"),
        "mixed": ("11", "1"),
        "cheapest": ("1", "1"),
    }.get(name)
    if figures is None:
        return None
    return Price(Tariff(Rates(Decimal(figures[0]), Decimal(figures[1]))))


def asked(governing: FakeGoverning, names: tuple[str, ...] = NAMES) -> tuple[tuple[str, ...], bool]:
    here = Scope(governing)
    with scope(here):
        return models_to_ask(names, price_of=price), here.fell_back


@pytest.mark.parametrize("share", [0.8, 0.95, 1.5])
def test_from_the_share_on_only_what_costs_less_is_asked_in_the_order_of_the_list(
    share: float,
) -> None:
    governing = FakeGoverning(fallback_share=0.8, share=share)
    assert asked(governing) == (("cheap", "cheapest"), True)


@pytest.mark.parametrize(
    "governing",
    [
        FakeGoverning(fallback_share=0.8, share=0.79),
        FakeGoverning(fallback_share=None, share=1.0),
        FakeGoverning(fallback_share=0.8, share=1.0, observe=True),
    ],
)
def test_before_the_share_and_without_the_policy_nothing_changes(
    governing: FakeGoverning,
) -> None:
    assert asked(governing) == (NAMES, False)


def test_call_that_waited_until_it_was_over_budget_goes_to_what_costs_less() -> None:
    for share, expected in ((0.8, ("cheap", "cheapest")), (None, NAMES)):
        governing = FakeGoverning(fallback_share=share, share=0.1)
        with scope(Scope(governing)):
            assert models_to_ask(NAMES, price_of=price, refused=True) == expected


def test_list_without_a_cheaper_model_is_asked_as_it_is() -> None:
    governing = FakeGoverning(fallback_share=0.8, share=1.0)
    names = ("dear", "dearer", "mixed", "unpriced")
    assert asked(governing, names) == (names, False)
    assert asked(governing, ("unpriced", "cheapest")) == (("unpriced", "cheapest"), False)


def test_outside_any_governor_nothing_changes() -> None:
    assert models_to_ask(NAMES, price_of=price) == NAMES
