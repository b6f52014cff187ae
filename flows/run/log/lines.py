"""The lines of a run's log. Pure."""

import re
from collections.abc import Sequence

from prefect_governor.blocks.figures.figures import BudgetFigures
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.flows.report.axes import lasted
from prefect_governor.flows.report.model import Report, tally
from prefect_governor.flows.report.shown.amounts import usd
from prefect_governor.flows.report.shown.spending import when

# As `blocks.figures` tells of a run whose calls wait for a raise.
PAUSED = "paused for money: "
THROTTLED = "the provider throttles (HTTP 429): calls wait as it says, and go again"
_NUMBERS = re.compile(r"[\d.,]*\d")


def under(governor: str | None, budgets: Sequence[BudgetFigures]) -> str:
    """Whose money, how much of it, in which window; the nearest budget first."""
    told = [
        f"governor {each.name} {_spent(each)}"
        if each.name == governor
        else f"{each.name} {_spent(each)}"
        for each in budgets
    ]
    if governor not in {each.name for each in budgets}:
        told.insert(0, "no governor" if governor is None else f"governor {governor}")
    return "; ".join(told)


def _spent(figures: BudgetFigures) -> str:
    used = usd(figures.spent_usd + figures.unconfirmed_usd)
    of = ", no ceiling in USD" if figures.ceiling_usd is None else f" of {usd(figures.ceiling_usd)}"
    words = when(figures.window)
    return f"has spent {used}{of}{f' {words}' if words else ''}"


def asked(model: ModelChoice) -> str:
    """Which model, why, and what else is tried."""
    then = f"; then {', '.join(model.fallbacks)}" if model.fallbacks else ""
    return f"model {model.name} ({model.why}){then}"


def known(items: int, *, left_out: int, kept: int, more: bool) -> str:
    """How many items there are: all that are known, those that are none, those that are paid."""
    coming = " so far, more are read as they come" if more else ""
    parts = [
        f"{items:,} item{'s' * (items != 1)}{coming}",
        *([f"{left_out:,} left out of the sources"] if left_out else []),
        *([f"{kept:,} answered before, not paid for again"] if kept else []),
    ]
    return "; ".join(parts)


def ended(report: Report) -> str:
    """What came of it: outcome, counts, cost."""
    times = report.limits.throttled
    throttled = f" · throttled {times:,} time{'s' * (times != 1)}" if times else ""
    what = tally(report.items) if report.items or not report.reason else report.reason
    return f"{report.outcome}: {what} · {report.spending()}{throttled}"


def resumed(seconds: float, *, called: bool) -> str:
    """A pause is over, with more money or without it."""
    how = "calls go on" if called else "no money came"
    return f"the pause for money is over after {lasted(seconds)}: {how}"


def cause(waiting: str) -> str:
    """What a run waits for, whatever its numbers: what tells one wait from the next."""
    return _NUMBERS.sub("#", waiting)
