"""The calls of an agent's loop, foretold from its first. Pure."""

from prefect_governor.flows.agent.loop import Bounds
from prefect_governor.flows.agent.tools import MOST_CHARACTERS
from prefect_governor.flows.estimate.planned import PlannedCall

# What an agent that finds what it looks for mostly needs.
LIKELY_CALLS = 4
# What the tool results of one call add to the next, and its own words, in tokens; measured on
# research agents that read the repository's own docs.
RESULT_TOKENS = 1_600
CALL_TOKENS = 150
# Of an agent's calls that call tools, the share that searches the web where it can.
SEARCHING = 0.5
_LARGEST = 3
# p95 over p50: how much more agents may look than they mostly do.
SPREAD = 2


def likely_calls(first: PlannedCall, calls: int) -> list[PlannedCall]:
    """So many, each with the results of those before it."""
    added = RESULT_TOKENS + CALL_TOKENS
    return [
        PlannedCall(first.input_tokens + at * added, first.bound_tokens + at * added)
        for at in range(calls)
    ]


def likely_searches(calls: int) -> int:
    """Searches of the web in a loop of so many calls, the last of which is its answer."""
    return round((calls - 1) * SEARCHING)


def most_calls(
    first: PlannedCall, bounds: Bounds, *, output_tokens: int, context: int | None
) -> list[PlannedCall]:
    """The most that a loop can come to: as many calls as it may make, the one that brings a model
    to words included, each with all results that it may have asked for; but no more than its bound
    on tokens and three such calls: the one that goes beyond it, and two that ask for its answer.
    `context` is the most that a call can hold."""
    # No text has more tokens than bytes, and no character more than four of them.
    largest = first.bound_tokens + bounds.tool_calls * MOST_CHARACTERS * 4
    largest += bounds.turns * output_tokens
    if context is not None:
        largest = min(context, largest)
    others = bounds.turns + 1 - _LARGEST
    if others <= 0:
        return [_call(largest)] * (bounds.turns + 1)
    each = min(largest, max(first.bound_tokens, -(-bounds.tokens // others)))
    return [*[_call(each)] * others, *[_call(largest)] * _LARGEST]


def _call(tokens: int) -> PlannedCall:
    return PlannedCall(tokens, tokens)
