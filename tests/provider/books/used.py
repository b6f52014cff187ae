"""What a script says that a reply is billed for, in place of what is counted."""

from __future__ import annotations

from decimal import ROUND_CEILING
from fractions import Fraction
from typing import Any

from tests.provider.books.bill import Price, Usage, bill_nano
from tests.provider.books.tokens import scaled
from tests.provider.config import Used

# P1's premise: a provider counts no more than so many times what the local tokenizer does.
_MOST = Fraction(3, 2)


def usage_of(used: Used, counted: Usage, *, most_input: int, most_output: int) -> Usage:
    """The usage that a script asks for. Raises ValueError for one that no provider bills: more than
    the request bounds, apart from what is unseen, or parts that are more than the whole."""
    given = counted.input if used.input is None else used.input
    written = counted.output if used.output is None else used.output
    most = min(most_input, scaled(counted.input, _MOST)) + used.unseen
    if given > most:
        raise ValueError(f"an input of {given}, of which the request bounds {most}")
    if written > most_output + used.beyond:
        raise ValueError(f"an output of {written}, where {most_output} are the limit")
    apart = used.cached + used.written + used.written_long + used.audio
    if apart > given or used.reasoning + used.images > written:
        raise ValueError("parts of a usage that are more than the whole")
    return Usage(
        input=given,
        cached=used.cached,
        output=written,
        written=used.written,
        written_long=used.written_long,
        audio=used.audio,
        reasoning=used.reasoning,
        images=used.images,
        searches=used.searches,
        also=used.also,
    )


def bill_of(used: Used | None, price: Price, usage: Usage, *, tier: str) -> int:
    """The bill in nano-dollars: by the prices, or what the script says."""
    if used is not None and used.usd is not None:
        return int(used.usd.scaleb(9).to_integral_value(rounding=ROUND_CEILING))
    return bill_nano(price, usage, tier=tier)


def amended(stated: dict[str, Any], usage: Usage) -> dict[str, Any]:
    """The usage as a reply states it, with what this provider has beside it or leaves out."""
    whole = {**stated, **usage.also}
    return {name: value for name, value in whole.items() if value is not None}
