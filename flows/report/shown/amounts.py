"""Amounts and figures as texts. Pure."""

from collections.abc import Sequence
from decimal import Decimal

_BAR = 20
# As wide as a digit: what pads a figure in a page that has no right-aligned columns.
FIGURE_SPACE = "\u2007"
# Before the padding, which Markdown would strip of a cell's start.
_START = "\u200b"
_MOST_PLACES = 9


def usd(amount: Decimal) -> str:
    """An amount for people: "$2.00", "$0.0113", never rounded to nothing."""
    if amount == 0 or abs(amount) >= Decimal("0.1"):
        return f"${amount:,.2f}"
    # Three digits that count, and never fewer than four decimals.
    return f"${amount:.{min(_MOST_PLACES, max(4, 2 - amount.adjusted()))}f}"


def bar(part: Decimal, whole: Decimal, *, width: int = _BAR) -> str:
    """`part` of `whole` as a bar of text; full only when nothing is left."""
    share = min(max(part / whole, Decimal(0)), Decimal(1)) if whole > 0 else Decimal(1)
    filled = int(share * width)
    return "█" * filled + "░" * (width - filled)


def places_for(amounts: Sequence[Decimal]) -> int:
    """How many decimals all of a column of amounts have: the least shows one digit that counts,
    the largest three, none more than nine."""
    some = [abs(each) for each in amounts if each]
    if not some:
        return 2
    wanted = max(2, 2 - max(some).adjusted(), -min(some).adjusted())
    return min(_MOST_PLACES, wanted)


def padded(texts: Sequence[str]) -> list[str]:
    """The texts of a column of figures, all as wide as the widest."""
    widest = max(map(len, texts), default=0)
    return [
        f"{_START}{FIGURE_SPACE * (widest - len(text))}{text}" if len(text) < widest else text
        for text in texts
    ]
