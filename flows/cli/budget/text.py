"""A budget's figures as a person reads them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget.names import Names
from prefect_governor.flows.cli.budget.view import (
    AllocationView,
    Holder,
    View,
    Waiting,
    left,
    left_nano,
    left_tokens,
    of_wall,
)

MONEY = ("spent", "unconfirmed", "reserved", "allocated", "elsewhere")
# What few have is left out where there is none.
_RARE = ("allocated", "elsewhere")
# Of the calls that hold money, so many are listed, the oldest first; JSON has all.
_MOST = 10
# A call's id is told from others by so much of it.
ID_LENGTH = 8
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"))


def show_view(view: View, *, unconfirmed: bool = False) -> str:
    """All of a view: the budgets, what holds them, what waits, who spent, what people changed.
    `unconfirmed`: list each call whose outcome nobody knows."""
    lines: list[str] = []
    for at, budget in enumerate(view.chain):
        head = f"{view.kind} {view.name!r}" if at == 0 else f"under Budget {budget.state.name!r}"
        if at == 0 and view.kind == "Governor" and budget.state.name != view.name:
            head += f", on Budget {budget.state.name!r}"
        lines.append(f"{head}, {_window(budget.window, budget.state.window)}")
        lines += [f"  {name:<12} {value}" for name, value in figures(budget.state)]
    lines += _held(view, unconfirmed=unconfirmed)
    lines += _holders(view.holders, view.at, view.names)
    if view.not_measured:
        lines.append("not measured, as they have no price, no bound or no known path:")
        rows = [("calls", "model", "path", "why")]
        rows += [
            (f"{each.calls:,}", each.model or "(none)", each.path, each.why)
            for each in view.not_measured
        ]
        lines += table(rows, numbers=frozenset({0}))
    lines += map(waiting_line, view.waiting)
    if view.by is not None:
        since = "in this window" if view.since is None else f"since {view.since:%Y-%m-%d %H:%M %Z}"
        lines += ["", f"spent {since}, by {view.by}:", *_breakdown(view)]
    if view.audit is not None:
        lines += ["", "changed by hand or by evidence:", *_audit(view.audit)]
    return "\n".join(lines)


def waiting_line(each: Waiting) -> str:
    """What calls wait for, how many at least, and for how long the first of them."""
    if each.calls <= 1:
        return f"waiting for {each.what}: a call, for {age(each.seconds)}"
    return (
        f"waiting for {each.what}: at least {each.calls:,} calls, the first for {age(each.seconds)}"
    )


def figures(state: AccountState) -> Iterator[tuple[str, str]]:
    """A budget's figures, a name and a text each. What was never set aside, or drawn by
    other machines, is left out."""
    yield "ceiling", show_ceiling(state.ceiling_nano, state.ceiling_tokens)
    for name in MONEY:
        nano, tokens = getattr(state, f"{name}_nano"), getattr(state, f"{name}_tokens")
        if nano or tokens or name not in _RARE:
            yield name, f"{show_usd(nano)} ({tokens:,} tokens)"
    nano_left, tokens_left = left_nano(state), left_tokens(state)
    parts = [] if nano_left is None else [show_usd(nano_left)]
    parts += [] if tokens_left is None else [f"{tokens_left:,} tokens"]
    yield "left", " and ".join(parts) or "no ceiling"


def show_ceiling(nano: int | None, tokens: int | None) -> str:
    """A ceiling in USD, in tokens, or both: "$5.00 and 1,000 tokens"."""
    parts = [] if nano is None else [show_usd(nano)]
    parts += [] if tokens is None else [f"{tokens:,} tokens"]
    return " and ".join(parts) or "none"


def who(call: CallRecord, names: Names | None = None) -> str:
    """Whom a call is for: flow, run, task, item, label and user, as far as they are known."""
    known = call.attribution
    run = None if names is None else names.runs.get(known.flow_run_id or "")
    flow = f"{known.flow or 'run'} ({run})" if run else known.flow
    parts = [flow, known.task, known.item, known.label, known.user]
    return " / ".join(part for part in parts if part) or "(nobody named)"


def count_calls(count: int) -> str:
    """So many calls, in words: "1 call", "2,000 calls"."""
    return f"{count:,} call{'' if count == 1 else 's'}"


def age(seconds: float) -> str:
    """A length of time for people: "12 s", "5 min", "3 h", "2 d"."""
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def table(rows: Sequence[Sequence[str]], *, numbers: frozenset[int]) -> Iterator[str]:
    """Rows under each other, their columns aligned; those of `numbers` to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = (
            f"{cell:>{width}}" if at in numbers else f"{cell:<{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield ("  " + "  ".join(cells)).rstrip()


def unconfirmed_lines(calls: Sequence[CallRecord], names: Names | None = None) -> Iterator[str]:
    """A line a call that nobody confirmed: which, since when, how much, for whom, why."""
    rows = [("call", "admitted", "at most", "model", "for", "why")]
    rows += [
        (
            call.call_id[:ID_LENGTH],
            f"{of_wall(call.created_wall):%Y-%m-%d %H:%M:%S}",
            show_usd(call.bound.nano),
            call.attribution.model or "",
            who(call, names),
            call.reason or "",
        )
        for call in calls
    ]
    yield from table(rows, numbers=frozenset({2}))


def _window(window: str, label: str) -> str:
    if window == "total":
        return "counted for ever"
    # Nothing was spent yet, so there is no window either.
    return f"per {window}" + (f", now {label}" if label else "")


def _held(view: View, *, unconfirmed: bool) -> Iterator[str]:
    """What holds money that is neither spent nor left."""
    budget, now = view.chain[0], view.at
    if budget.reserved:
        yield f"reserved by {count_calls(len(budget.reserved))} in flight:"
        rows = [("age", "at most", "pid", "model", "for")]
        rows += [
            (
                age((now - of_wall(call.created_wall)).total_seconds()),
                show_usd(call.bound.nano),
                str(call.pid or "?"),
                call.attribution.model or "",
                who(call, view.names),
            )
            for call in budget.reserved[:_MOST]
        ]
        yield from table(rows, numbers=frozenset({0, 1, 2}))
        if len(budget.reserved) > _MOST:
            yield f"  ... and {len(budget.reserved) - _MOST:,} more"
    if budget.unconfirmed:
        calls = count_calls(len(budget.unconfirmed))
        held = show_usd(sum(call.bound.nano for call in budget.unconfirmed))
        lists = "" if unconfirmed else "`--unconfirmed` lists them, "
        end = ":" if unconfirmed else ""
        yield (
            f"unconfirmed: {calls}, {held} together ({lists}`prefect-governor budget reconcile"
            f" {view.name}` resolves them){end}"
        )
        if unconfirmed:
            yield from unconfirmed_lines(budget.unconfirmed, view.names)
    if budget.allocations:
        yield "allocated:"
        parts = [("for", "set aside", "gone", "left")]
        parts += [(each.allocation.label, *_allocated(each)) for each in budget.allocations]
        yield from table(parts, numbers=frozenset({1, 2, 3}))


def _holders(holders: Sequence[Holder], now: datetime, names: Names) -> Iterator[str]:
    """Whose work, beside model calls, is in slots now: a row for each run, and process of it."""
    if not holders:
        return
    yield "slots held by work that is no model call:"
    found: dict[tuple[str, str, str], list[Holder]] = {}
    for each in holders:
        pid, what = str(each.call.pid or "?"), ", ".join(each.what)
        found.setdefault((pid, what, _whose(each.call, names)), []).append(each)
    rows = [("age", "slots", "pid", "what", "for")]
    rows += [
        (
            age((now - of_wall(min(each.call.created_wall for each in some))).total_seconds()),
            f"{len(some):,}",
            *key,
        )
        for key, some in list(found.items())[:_MOST]
    ]
    yield from table(rows, numbers=frozenset({0, 1, 2}))
    if len(found) > _MOST:
        yield f"  ... and {len(found) - _MOST:,} more"


def _whose(call: CallRecord, names: Names) -> str:
    """The run of what holds a slot, by its name; of what is in none, all that is known."""
    known = call.attribution
    if known.flow_run_id is None:
        return who(call)
    return f"{known.flow or 'run'} ({names.runs.get(known.flow_run_id, known.flow_run_id)})"


def _allocated(each: AllocationView) -> tuple[str, str, str]:
    purse = each.purse
    gone = purse.spent_nano + purse.unconfirmed_nano + purse.reserved_nano
    gone_tokens = purse.spent_tokens + purse.unconfirmed_tokens + purse.reserved_tokens
    rest = left(each.account.ceiling_nano, gone)
    rest_tokens = left(each.account.ceiling_tokens, gone_tokens)
    return (
        show_ceiling(each.account.ceiling_nano, each.account.ceiling_tokens),
        show_usd(gone),
        show_ceiling(rest, rest_tokens),
    )


def _breakdown(view: View) -> Iterable[str]:
    if not view.spends:
        yield "  nothing"
        return
    rows = [
        (str(view.by), "calls", "spent", "unconfirmed", "reserved", "tokens in", "tokens out")
    ] + [
        (
            view.names.deployments.get(name, name),
            f"{spend.calls:,}",
            show_usd(spend.spent_nano),
            show_usd(spend.unconfirmed_nano),
            show_usd(spend.reserved_nano),
            f"{spend.input_tokens:,}",
            f"{spend.output_tokens:,}",
        )
        for name, spend in view.spends
    ]
    yield from table(rows, numbers=frozenset(range(1, 7)))
    if view.by == "tag":
        yield "  (a call counts under each of its tags)"


def _audit(audit: Sequence[Audit]) -> Iterator[str]:
    if not audit:
        yield "  nothing"
        return
    rows = [("when", "by", "what", "before", "after", "why", "evidence")]
    rows += [
        (
            f"{of_wall(row.wall):%Y-%m-%d %H:%M:%S}",
            row.by,
            # A call by the start of its id, the budget by what was done to it.
            f"{row.action} call {row.subject[:ID_LENGTH]}"
            if row.action in ("settled", "voided")
            else row.action,
            row.before,
            row.after,
            row.reason,
            row.evidence or "",
        )
        for row in audit
    ]
    yield from table(rows, numbers=frozenset())
