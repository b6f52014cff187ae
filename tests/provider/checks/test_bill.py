"""The judge's arithmetic: exact, and rounded up once."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.provider.books.bill import DEFAULT_PRICES, Price, Usage, bill_nano

HALF = Price.model_validate({"input": "0.0000000055", "output": "0.00000004998"})
LONG = Price.model_validate(
    {
        "input": "0.000001",
        "cached_input": "0.0000001",
        "output": "0.000002",
        "above": {
            100: {"input": "0.000003", "cached_input": "0.0000003", "output": "0.000004"},
            200: {"input": "0.000009", "output": "0.000009"},
        },
        "tiers": {"priority": {"input": "0.000007", "output": "0.000008"}},
    }
)
COUNTS = st.integers(min_value=0, max_value=10**9)


def test_plain_call_costs_tokens_times_rates() -> None:
    assert bill_nano(DEFAULT_PRICES["gpt-4o-mini"], Usage(1000, 0, 100)) == 150_000 + 60_000


def test_cached_input_is_cheaper_and_not_counted_twice() -> None:
    assert bill_nano(DEFAULT_PRICES["gpt-4o-mini"], Usage(1000, 400, 0)) == 600 * 150 + 400 * 75


def test_cached_input_without_its_own_rate_costs_what_input_costs() -> None:
    assert bill_nano(HALF, Usage(2, 1, 0)) == 11


def test_fractions_are_rounded_up_once_not_per_part() -> None:
    # 5.5 + 26 x 49.98 = 1304.98; each part rounded up by itself would be 6 + 1300.
    assert bill_nano(HALF, Usage(1, 0, 26)) == 1305
    assert bill_nano(HALF, Usage(1, 0, 1)) == 56


@given(COUNTS, COUNTS)
def test_bill_is_the_exact_sum_rounded_up(input_tokens: int, output: int) -> None:
    exact = input_tokens * Fraction("5.5") + output * Fraction("49.98")
    assert bill_nano(HALF, Usage(input_tokens, 0, output)) == ceil(exact)


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(100, 0, 1), 100 * 1000 + 2000),
        (Usage(101, 1, 1), 100 * 3000 + 300 + 4000),
        (Usage(200, 0, 0), 200 * 3000),
        (Usage(201, 0, 1), 202 * 9000),
    ],
)
def test_whole_request_is_dearer_once_its_input_passes_a_threshold(usage: Usage, nano: int) -> None:
    assert bill_nano(LONG, usage) == nano


def test_tier_has_its_own_rates_and_an_unknown_one_is_an_error() -> None:
    assert bill_nano(LONG, Usage(1000, 0, 1), tier="priority") == 7_000_000 + 8000
    with pytest.raises(KeyError):
        bill_nano(LONG, Usage(1, 0, 1), tier="flex")


@pytest.mark.parametrize("bad", [0.1, "-1", "NaN", "Infinity", "free"])
def test_price_that_is_inexact_or_no_amount_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        Price.model_validate({"input": bad, "output": "1"})
