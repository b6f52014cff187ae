"""An estimate as people read it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect_governor.blocks.money.usd import show_usd

if TYPE_CHECKING:
    from prefect_governor.flows.estimate.estimate import Forecast

_MINUTE, _HOUR = 120, 7200
# So many of what is left out are named in lines for people.
_MOST_SKIPPED = 50


def print_forecast(expected: "Forecast", *, as_json: bool) -> None:
    """What a run would do, on stdout: one object, or a line a figure."""
    if as_json:
        print(json.dumps(expected.to_json()))
        return
    for line in forecast_lines(expected):
        print(line)


def forecast_lines(expected: "Forecast") -> Iterator[str]:
    """The lines of an estimate, without an end."""
    yield f"model: {expected.model}"
    yield f"items: {expected.items:,}"
    yield f"calls: {expected.calls:,} (a repair or a retry is one more)"
    yield (
        f"tokens: about {expected.input_tokens:,} in and {expected.expected_output_tokens:,} out,"
        f" at most {expected.output_tokens:,} out"
    )
    yield (f"cost: about {_usd(expected.p50_usd)} (p50), {_usd(expected.p95_usd)} (p95)")
    yield f"cost: at most {_usd(expected.max_usd)}, under {_ceiling(expected)}"
    if expected.over_budget:
        yield (
            f"budget: at p50 it does not cover {expected.over_budget:,} of {expected.items:,}"
            " items, which would be over budget"
        )
    elif expected.items:
        yield "budget: covers all items at p50"
    yield f"time: about {_time(expected.p50_seconds)} (p50), {_time(expected.p95_seconds)} (p95)"
    yield f"cost multiple of one agent in one go: {expected.cost_multiple:.2f}"
    held = expected.bottleneck
    yield "bottleneck: " + (
        "none, all calls go at once"
        if held is None
        else f"{held.name}, {_rate(held.calls_per_second)} ({held.why})"
    )
    for each in expected.throughputs:
        if each is not held and (each.holds or not each.name.startswith("budget")):
            yield f"  {each.name} allows {_rate(each.calls_per_second)} ({each.why})"
    yield f"based on: {'; '.join(expected.assumptions)}"
    for note in expected.notes:
        yield f"note: {note}"
    for key, reason in expected.unreadable:
        yield f"cannot be read: {key}: {reason}"
    if expected.skipped:
        yield f"skipped: {len(expected.skipped):,}"
    for left_out in expected.skipped[:_MOST_SKIPPED]:
        yield f"  {left_out.key}: {left_out.reason}"
    if (more := len(expected.skipped) - _MOST_SKIPPED) > 0:
        yield f"  and {more:,} more, which --json has"


def _ceiling(expected: "Forecast") -> str:
    if expected.ceiling_usd is not None:
        return f"a ceiling of {_usd(expected.ceiling_usd)}"
    left = [each for each in expected.left if each.nano is not None]
    if not left:
        return "no ceiling in USD"
    least = min(left, key=lambda each: each.nano or 0)
    return f"what is left of {least.name!r}: {show_usd(least.nano or 0)}"


def _usd(amount: Decimal) -> str:
    return show_usd(int(amount.scaleb(9).to_integral_value()))


def _rate(calls_per_second: float) -> str:
    if calls_per_second >= 1:
        return f"{calls_per_second:,.1f} calls a second"
    return f"{calls_per_second * 60:,.1f} calls a minute"


def _time(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < _HOUR else f"{seconds / 3600:.1f} h"
