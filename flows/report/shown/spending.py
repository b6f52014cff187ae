"""What a run cost beside what its budget has spent of its ceiling, on one line. Pure."""

import re
from decimal import Decimal

from prefect_governor.flows.report.shown.amounts import usd

# By the label of a window, as `blocks.money.windows` makes it.
_WHEN = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d"), "this hour"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "today"),
    (re.compile(r"\d{4}-W\d\d"), "this week"),
    (re.compile(r"\d{4}-\d\d"), "this month"),
)
# The budget that `max_usd` makes.
THIS_RUN = "this run"


def when(window: str | None) -> str:
    """A window that has not ended, in a person's words: "today"; nothing where it has no end."""
    return next((words for label, words in _WHEN if label.fullmatch(window or "")), "")


def spending(
    run_usd: Decimal,
    used_usd: Decimal,
    ceiling_usd: Decimal | None,
    *,
    name: str | None = None,
    window: str | None = None,
) -> str:
    """A run's own cost, and its budget's beside it: "this run $0.0113 · $1.93 of $5.00 in llm-team
    today".

    `used_usd` is what all who share the budget `name` spent in its `window`, what is unconfirmed
    included.
    """
    of = "" if ceiling_usd is None else f" of {usd(ceiling_usd)}"
    if name == THIS_RUN or (ceiling_usd is None and name is None):
        return f"{THIS_RUN} {usd(used_usd if name == THIS_RUN else run_usd)}{of}"
    where = " ".join(part for part in (f"in {name}" if name else "", when(window)) if part)
    return f"{THIS_RUN} {usd(run_usd)} · {usd(used_usd)}{of}{f' {where}' if where else ''}"
