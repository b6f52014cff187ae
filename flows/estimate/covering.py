"""How much of a run the money that is left pays for. Pure."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from prefect_governor.blocks.money.usd import NANO
from prefect_governor.flows.estimate.pace import Left


def items_over_budget(items: int, *, usd: Decimal, tokens: int, left: Sequence[Left]) -> int:
    """How many of a run's items would be over budget, were it to cost so much: what the smallest
    of the budgets leaves pays for the others. Items are taken to cost alike."""
    short = 0
    for each in left:
        for need, there in ((usd * NANO, each.nano), (Decimal(tokens), each.tokens)):
            if there is not None and need > there:
                # Exactly: a quotient that is rounded may be one item short.
                paid = math.floor(items * max(0, there) / Fraction(need))
                short = max(short, items - paid)
    return short


def at_stake_usd(usd: Decimal, left: Sequence[Left]) -> Decimal:
    """What a run of this cost can come to under what is left: no more than that."""
    ceilings = [Decimal(max(0, each.nano)) / NANO for each in left if each.nano is not None]
    return min([usd, *ceilings])
