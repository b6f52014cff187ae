"""What a loop can come to is never foretold too low."""

import random

import pytest

from prefect_governor.flows.agent.loop import Bounds
from prefect_governor.flows.agent.tools import MOST_CHARACTERS
from prefect_governor.flows.estimate.loops import (
    CALL_TOKENS,
    RESULT_TOKENS,
    likely_calls,
    most_calls,
)
from prefect_governor.flows.estimate.planned import PlannedCall

FIRST = PlannedCall(500, 800)


def test_each_call_has_the_results_of_those_before_it() -> None:
    calls = likely_calls(FIRST, 3)
    assert [each.input_tokens for each in calls] == [
        500 + at * (RESULT_TOKENS + CALL_TOKENS) for at in range(3)
    ]
    assert likely_calls(FIRST, 1) == [FIRST]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("context", [None, 128_000])
def test_no_loop_costs_more_than_the_most_that_is_foretold(seed: int, context: int | None) -> None:
    """Loops that make calls, get results and spend tokens at random, as the bounds let them."""
    chance = random.Random(seed)
    bounds = Bounds(turns=chance.randint(1, 9), tool_calls=chance.randint(1, 30),
                    tokens=chance.choice([2_000, 50_000, 400_000]))  # fmt: skip
    output = chance.choice([100, 2_000])
    billed = calls = made = spent = 0
    held = FIRST.bound_tokens
    answering = False
    while calls <= bounds.turns:
        if context is not None and held > context:
            # The provider refuses it, and bills nothing.
            break
        calls, billed = calls + 1, billed + held
        spent += held + (said := chance.randint(1, output))
        if answering and (calls > bounds.turns or chance.random() < 0.5):
            break
        answering = calls >= bounds.turns - 1 or made >= bounds.tool_calls or spent >= bounds.tokens
        wanted = 0 if answering else chance.randint(1, bounds.tool_calls)
        results = min(wanted, bounds.tool_calls - made)
        made += results
        held += said + results * chance.choice([10, MOST_CHARACTERS, 4 * MOST_CHARACTERS])
    foretold = most_calls(FIRST, bounds, output_tokens=output, context=context)
    assert calls <= bounds.turns + 1 or not made
    assert billed <= sum(each.bound_tokens for each in foretold)


def test_a_small_context_bounds_it() -> None:
    foretold = most_calls(FIRST, Bounds(), output_tokens=100, context=8_000)
    assert max(each.bound_tokens for each in foretold) == 8_000
    assert len(foretold) == Bounds().turns + 1
