"""Money is never a float, never finer than a nano-dollar, never rounded down."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import (
    MAX_NANO,
    NANO,
    parse_usd,
    round_up,
    show_usd,
    to_nano,
    to_usd,
)

amounts = st.integers(min_value=0, max_value=MAX_NANO)


@pytest.mark.parametrize(
    ("value", "nano"),
    [
        (0, 0),
        (2, 2 * NANO),
        ("2", 2 * NANO),
        ("$2.50", 2_500_000_000),
        (" 0.004 ", 4_000_000),
        ("1e-9", 1),
        (Decimal("0.000000001"), 1),
        (0.1, 100_000_000),
        (0.004, 4_000_000),
        (1e-9, 1),
        ("9223372036.854775807", MAX_NANO),
    ],
)
def test_an_amount_is_taken_as_it_is_written(value: object, nano: int) -> None:
    assert to_nano(value) == nano  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "$",
        "two",
        "1,000",
        "-$1",
        "0x10",
        None,
        b"2",
        [2],
        True,
        False,
        "nan",
        float("nan"),
        "sNaN",
        Decimal("NaN"),
        "inf",
        float("inf"),
        float("-inf"),
        -1,
        "-0.01",
        "$-3",
        0.1 + 0.2,
        "0.0000000001",
        Decimal("1e-10"),
        "1e-999999999",
        "0.1" + "0" * 100 + "1",
        "9223372036.854775808",
        10**12,
        1e300,
        "1e400",
        "1e999999999",
    ],
)
def test_bad_money_is_refused_by_name_and_never_by_a_traceback(value: object) -> None:
    with pytest.raises(ConfigurationError, match="max_usd") as refusal:
        to_nano(value, name="max_usd")  # type: ignore[arg-type]
    assert repr(value)[:20] in str(refusal.value)


@given(amounts)
def test_no_nano_dollar_is_lost_between_dollars_and_integers(nano: int) -> None:
    assert to_nano(to_usd(nano)) == nano
    assert to_nano(str(to_usd(nano))) == nano


@given(st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False, places=20))
def test_a_cost_is_rounded_up_once_and_by_less_than_one(amount: Decimal) -> None:
    nano = round_up(amount)
    assert Decimal(nano - 1) < amount * NANO <= Decimal(nano)


@given(amounts.filter(bool))
def test_money_is_never_shown_as_nothing(nano: int) -> None:
    assert any(digit in show_usd(nano) for digit in "123456789")


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "$0.00"), (2 * NANO, "$2.00"), (42_000_000, "$0.0420"), (1, "$0.000000001")],
)
def test_money_is_shown_as_people_write_it(nano: int, text: str) -> None:
    assert show_usd(nano) == text


def test_a_parsed_amount_stays_exact() -> None:
    assert parse_usd("0.123456789") == Decimal("0.123456789")
