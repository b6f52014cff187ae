"""What a reconciliation of all budgets left, in Markdown. Pure. What comes from calls is data, and
escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.flows.report.markdown import escape

# Of one budget, oldest first; `budget reconcile NAME` lists all.
_MOST = 20
_ID_LENGTH = 8


@dataclass(frozen=True)
class Standing:
    """A budget after it was reconciled. `name` is None for calls under no saved one.

    Attributes:
        left: its calls that are unconfirmed, oldest first.
        settled: how many were, by the provider's exports.
        back_nano: what that gave back, in nano-dollars.
        unread: rows of the exports, and calls, that were left alone, with the reason.
        problem: why it could not be looked at.
    """

    name: str | None
    left: tuple[CallRecord, ...] = ()
    settled: int = 0
    back_nano: int = 0
    unread: tuple[str, ...] = ()
    problem: str | None = None


def held_nano(calls: Sequence[CallRecord]) -> int:
    """What these calls are charged at, in nano-dollars."""
    return sum(call.bound.nano for call in calls)


def each_once(standings: Sequence[Standing]) -> list[CallRecord]:
    """The calls that are unconfirmed: one that draws on two budgets is one call."""
    found = {call.call_id: call for standing in standings for call in standing.left}
    return list(found.values())


def headline(standings: Sequence[Standing]) -> str:
    """In one line: how many are left, at what, and what was settled."""
    calls = each_once(standings)
    parts = [f"{len(calls):,} unconfirmed, charged at {show_usd(held_nano(calls))}"]
    if not calls:
        parts = ["no call is unconfirmed"]
    if settled := sum(each.settled for each in standings):
        parts.append(f"{settled:,} settled by the provider's exports")
    if failed := sum(each.problem is not None for each in standings):
        parts.append(f"{failed:,} of {len(standings):,} budgets could not be looked at")
    return "; ".join(parts)


def page(standings: Sequence[Standing], *, now: datetime) -> str:
    """The whole of it."""
    sections = [f"# {escape(headline(standings), longest=500)}", _table(standings, now)]
    for each in standings:
        if each.left or each.unread:
            sections.append(_budget(each))
    sections.append(
        "An unconfirmed call stays charged at the most that it can have cost, so that its ceiling"
        " holds. The provider's usage export says what it was billed; nothing is resolved by guess."
    )
    return "\n\n".join(sections) + "\n"


def _table(standings: Sequence[Standing], now: datetime) -> str:
    rows = ["| budget | unconfirmed | charged | oldest | settled | given back |"]
    rows.append("| --- | ---: | ---: | --- | ---: | ---: |")
    for each in standings:
        if each.problem is not None:
            rows.append(f"| {_name(each)} | {escape(each.problem)} | | | | |")
            continue
        oldest = ""
        if each.left:
            since = now - _admitted(each.left[0])
            oldest = f"{since.days} d" if since.days else f"{since.seconds // 3600} h"
        rows.append(
            f"| {_name(each)} | {len(each.left):,} | {show_usd(held_nano(each.left))} | {oldest}"
            f" | {each.settled:,} | {show_usd(each.back_nano)} |"
        )
    return "\n".join(rows)


def _budget(standing: Standing) -> str:
    lines = [f"## {_name(standing)}"]
    if standing.name is not None and standing.left:
        lines.append(
            f"`prefect-governor budget reconcile {standing.name} --from usage.csv --dry-run`"
        )
    rows = [
        f"- `{call.call_id[:_ID_LENGTH]}` {_admitted(call):%Y-%m-%d %H:%M}, at most"
        f" {show_usd(call.bound.nano)}, {escape(call.attribution.model or 'no model')}:"
        f" {escape(call.reason or 'no reason is known')}"
        for call in standing.left[:_MOST]
    ]
    rows += [f"- {escape(each)}" for each in standing.unread[:_MOST]]
    if (more := len(standing.left) + len(standing.unread) - len(rows)) > 0:
        rows.append(f"- … and {more:,} more")
    return "\n\n".join([*lines, "\n".join(rows)])


def _name(standing: Standing) -> str:
    return "under no saved budget" if standing.name is None else escape(standing.name)


def _admitted(call: CallRecord) -> datetime:
    return datetime.fromtimestamp(call.created_wall / 1e9, timezone.utc)
