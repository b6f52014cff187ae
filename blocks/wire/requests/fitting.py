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


def fitted_bound(
    plan: CallPlan, price: Price, learned: Learned | None, *, floor_tokens: int
) -> Bound | None:
    """The smaller bound that will do for a call; None where there is none.

    Its output is twice the 99th percentile of the model's answers, at least `floor_tokens` and
    what the request itself needs. None where the plan may not be fitted, where too little was
    learned, and where that is no less than what was asked for.
    """
    if plan.least_output_tokens is None or plan.output_limit is None or learned is None:
        return None
    quantile = learned.output_quantile(SHARE)
    if quantile is None:
        return None
    output = max(floor_tokens, ROOM * quantile, plan.least_output_tokens)
    if output >= plan.output_limit:
        return None
    return replace(plan, output_tokens=output).bound(price)


def whole_is_over_budget(cut_at: int, wanted: int, refusal: OverBudget) -> OverBudget:
    """The refusal of a call whose answer was cut by the fit, and for which the whole bound is not
    to be had."""
    return OverBudget(
        f"the answer was cut at {cut_at:,} output tokens, to which max_tokens was fitted as money"
        f" ran low, and the whole {wanted:,} cannot be asked for: {refusal}"
    )
