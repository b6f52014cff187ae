"""Fitting `max_tokens` to the answers that a model gives, for the time when money is low. Pure.

A call's hard bound is what it asked for. Beside it stands a smaller one, made of what settled calls
have taught, which the ledger takes where the whole one is not to be had. What is sent has then the
smaller `max_tokens`, so that the provider itself holds it: what was learned may be wrong, and the
ceiling holds all the same. An answer that is cut by it is asked again with the whole bound.
"""

from dataclasses import replace

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.blocks.wire.requests.plans import CallPlan

# Longer than 99 of 100 answers, twice over: so few are cut that asking again costs next to nothing.
SHARE = 0.99
ROOM = 2
# Of what is left of the money, a call without a limit of its own takes this part of it at the most,
# or room for so many tokens, which few answers are longer than.
SHARES = 8
USUAL_OUTPUT_TOKENS = 1024


def fitted_bound(
    plan: CallPlan, price: Price, learned: Learned | None, *, floor_tokens: int
) -> Bound | None:
    """The smaller bound that will do for a call; None where there is none.

    Its output is twice the 99th percentile of the model's answers, at least `floor_tokens` and
    what the request itself needs. None where the plan may not be fitted, where too little was
    learned, and where that is no less than what was asked for. None of a stream, which would be
    held until its end although the money for it is there.
    """
    if plan.least_output_tokens is None or plan.output_limit is None or learned is None:
        return None
    if plan.streamed:
        return None
    quantile = learned.output_quantile(SHARE)
    if quantile is None:
        return None
    output = max(floor_tokens, ROOM * quantile, plan.least_output_tokens)
    if output >= plan.output_limit:
        return None
    return replace(plan, output_tokens=output).bound(price)


def least_output(plan: CallPlan, learned: Learned | None, *, floor_tokens: int) -> int:
    """The output tokens below which a call is not asked for: the floor, what the request itself
    needs, and what half of the model's answers need, where that was learned."""
    usual = None if learned is None else learned.output_quantile(0.5)
    return max(floor_tokens, plan.least_output_tokens or 1, usual or 1)


def output_within(
    plan: CallPlan, price: Price, refusal: OverBudget, *, least: int, most: int, again: bool
) -> int | None:
    """The output tokens, from `least` to `most`, with which a call is asked for that is over budget
    with more; None where what is left does not pay for the least.

    A share of what is left, so that others may be asked beside it, but room for a usual answer
    where there is; all of it for a call that is asked `again`, whose answer such a share has cut.
    """

    def is_left(output: int) -> bool:
        bound = replace(plan, output_tokens=output).bound(price)
        nano, tokens = refusal.left_nano, refusal.left_tokens
        return (nano is None or bound.nano <= nano) and (tokens is None or bound.tokens <= tokens)

    if refusal.left_nano is None and refusal.left_tokens is None:
        return None
    if most < least or not is_left(least):
        return None
    paid, over = least, most + 1
    while over - paid > 1:
        middle = (paid + over) // 2
        paid, over = (middle, over) if is_left(middle) else (paid, middle)
    return paid if again else max(least, paid // SHARES, min(paid, USUAL_OUTPUT_TOKENS))


def over_budget(plan: CallPlan, cut_at: int | None, refusal: OverBudget) -> OverBudget:
    """The refusal of a call, with what its bound is made of where the caller did not say it: the
    model's own limit, or the whole of what an answer was cut short of by the fit."""
    if cut_at is not None:
        return OverBudget(
            f"the answer was cut at {cut_at:,} output tokens, to which max_tokens was fitted as "
            f"money ran low, and the whole {plan.output_tokens:,} cannot be asked for: {refusal}"
        )
    if plan.own_limit:
        return OverBudget(
            f"{refusal}; or set max_tokens: the request sets none, so that it may cost what the "
            f"{plan.output_tokens:,} output tokens do that the model writes at the most"
        )
    return refusal
