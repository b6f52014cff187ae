"""Money as integers: one unit is a nano-dollar (1e-9 USD), held in an int64.

Prices are exact `Decimal`s. A call's cost is summed exactly and rounded up once.
"""

from decimal import ROUND_CEILING, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import TypeAlias

from prefect_governor.blocks.errors import ConfigurationError

NANO = 10**9
MAX_NANO = 2**63 - 1

# Wide enough that no sum of int64 amounts and price fractions is ever rounded on its way.
EXACT = Context(prec=60)
_STRICT = Context(prec=60, traps=[Inexact, Overflow])

Money: TypeAlias = Decimal | str | int | float


def parse_usd(value: Money, *, name: str = "amount") -> Decimal:
    """An amount in USD as an exact Decimal.

    Takes a Decimal, a decimal string ("0.004", "$2"), an int, or a float that is exact at the
    nano-dollar as it is written (0.25, 1.5, 0.004).

    Raises ConfigurationError for a bool, NaN, an infinity, a negative amount, an amount finer than
    a nano-dollar or too large for int64 nano-dollars (about 9.2 billion USD).
    """
    if isinstance(value, bool):
        raise ConfigurationError(f"{name} must be an amount in USD, not {value!r}")
    try:
        # repr() of a float is the shortest text that gives it back: 0.1 is meant as 0.1.
        text = repr(value) if isinstance(value, float) else str(value).strip().lstrip("$")
        amount = Decimal(text)
    except InvalidOperation:
        raise ConfigurationError(
            f"{name} must be an amount in USD such as 2 or 0.25, not {value!r}"
        ) from None
    if not amount.is_finite():
        raise ConfigurationError(f"{name} must be a finite amount in USD, not {value!r}")
    if amount < 0:
        raise ConfigurationError(f"{name} must not be negative, not {value!r}")
    try:
        scaled: Decimal | None = _STRICT.multiply(amount, Decimal(NANO))
    except Overflow:
        raise ConfigurationError(f"{name} is too large: {value!r}") from None
    except Inexact:
        scaled = None
    if scaled is None or scaled != scaled.to_integral_value():
        raise ConfigurationError(
            f"{name} must be a whole number of nano-dollars (9 decimals), not {value!r}"
        )
    if scaled > MAX_NANO:
        raise ConfigurationError(f"{name} is too large: {value!r}")
    return amount


def to_nano(value: Money, *, name: str = "amount") -> int:
    """An amount in USD as nano-dollars. Raises as `parse_usd` does."""
    return int(EXACT.multiply(parse_usd(value, name=name), Decimal(NANO)))


def round_up(amount: Decimal) -> int:
    """An exact amount in USD, rounded up once to whole nano-dollars."""
    scaled = EXACT.multiply(amount, Decimal(NANO))
    return int(scaled.to_integral_value(rounding=ROUND_CEILING))


def to_usd(nano: int) -> Decimal:
    """Nano-dollars as an exact Decimal in USD."""
    return Decimal(nano).scaleb(-9, EXACT)


def plain_number(value: Decimal | None) -> float | str | None:
    """A JSON number where that is exact, as the form of Prefect's UI has it; else its text."""
    if value is None:
        return None
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def show_usd(nano: int) -> str:
    """Nano-dollars for people: "$2.00", "$0.0113", never rounded to nothing."""
    amount = to_usd(nano)
    if nano == 0 or abs(nano) >= NANO // 10:
        return f"${amount:.2f}"
    # Three digits that count, and never fewer than four decimals.
    digits = min(9, max(4, 2 - amount.adjusted()))
    return f"${amount:.{digits}f}"
