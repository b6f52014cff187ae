"""A statement as Markdown. Pure. What people or items named is code, which no renderer reads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.statements.statement import (
    DAYS,
    MOST_ROWS,
    BudgetLine,
    Statement,
    gone_nano,
)

_BAR = 20
_LONGEST = 80


def page(statement: Statement, deployments: Mapping[str, str]) -> str:
    """The whole page; `deployments` are their names by id."""
    leaf = statement.budgets[0].account
    over = f"the last {DAYS} days" if not statement.of_window else "this window"
    what = "" if len(statement.budgets) == 1 else f", of budget {code(leaf.name)}"
    models = [(code(name or "(no model)"), spend) for name, spend in statement.models]
    by_deployment = [
        (code(_deployment(key, deployments)), spend) for key, spend in statement.deployments
    ]
    sections = [
        f"# Money of governor {code(statement.governor)}",
        f"As of {_time(statement.at, leaf.time_zone)}. What is unconfirmed counts as spent: it"
        " stays charged at its bound until somebody knows what was billed.",
        _budgets(statement),
        _held_back(statement.budgets),
        f"## By day{what}",
        _table("day", _youngest_first(statement.days)),
        f"## By deployment, in {over}",
        _table("deployment", _most(by_deployment), other=_rest(by_deployment)),
        f"## By model, in {over}",
        _table("model", _most(models), other=_rest(models)),
        f"## The dearest items, in {over}",
        _dearest(statement),
    ]
    return "\n\n".join(sections) + "\n"


def code(text: str) -> str:
    """Any text as code in a cell of a table, one line and not longer than 80 characters."""
    flat = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if len(flat) > _LONGEST:
        # Paths are told apart by their ends.
        flat = f"…{flat[1 - _LONGEST :]}"
    # A cell ends at a bar in code too, unless a backslash stands before it.
    return (
        f"`{flat.replace('`', chr(39)).replace(chr(92), '/').replace('|', chr(92) + '|') or ' '}`"
    )


def bar(part: int, whole: int) -> str:
    """`part` of `whole` as a bar of text; full only where nothing is left, empty only at 0."""
    if whole <= 0:
        return "█" * _BAR
    filled = min(_BAR, max(0, part) * _BAR // whole)
    filled = max(filled, 1) if part > 0 else filled
    return "█" * filled + "░" * (_BAR - filled)


def _budgets(statement: Statement) -> str:
    rows = [
        f"| {code(each.account.name)} | {_window(each)} | {show_usd(_gone(each))}"
        f" | {_ceiling(each)} | {_share(each)} | {_ends(each, statement.at)} |"
        for each in statement.budgets
    ]
    head = "| budget | window | spent | ceiling | | at this pace |"
    return "\n".join([head, "| --- | --- | ---: | ---: | --- | --- |", *rows])


def _gone(line: BudgetLine) -> int:
    return line.purse.spent_nano + line.purse.unconfirmed_nano


def _window(line: BudgetLine) -> str:
    if line.account.window == "run":
        return "a run, the latest"
    if line.account.window == "total":
        return "in all"
    return f"{line.account.window}, {line.purse.label}" if line.purse.label else line.account.window


def _ceiling(line: BudgetLine) -> str:
    nano = line.account.ceiling_nano
    return "none" if nano is None else show_usd(nano)


def _share(line: BudgetLine) -> str:
    ceiling, gone = line.account.ceiling_nano, _gone(line)
    if ceiling is None:
        return ""
    share = f"{gone * 100 // ceiling}%" if ceiling else "all"
    return f"`{bar(gone, ceiling)}` {share}"


def _ends(line: BudgetLine, at: float) -> str:
    """What becomes of a budget, in words."""
    expected = line.forecast
    by_end = "" if expected.by_end_nano is None else show_usd(expected.by_end_nano)
    if expected.reached is not None and expected.reached <= at:
        return "**nothing is left**"
    if expected.reached is not None:
        more = f"; {by_end} would be asked for by the window's end" if by_end else ""
        return f"**ends {_time(expected.reached, line.account.time_zone)}**{more}"
    if line.account.window == "run":
        return "a ceiling for each run"
    return f"{by_end} by the window's end" if by_end else "no end in sight"


def _held_back(budgets: Sequence[BudgetLine]) -> str:
    lines = []
    for each in budgets:
        name = code(each.account.name)
        if each.paused:
            calls = "1 call waits" if each.paused == 1 else f"at least {each.paused:,} calls wait"
            lines.append(f"- {name}: {calls}, paused until the ceiling is raised.")
        if each.refused is not None:
            when = _time(each.refused, each.account.time_zone)
            lines.append(f"- {name} refused calls in this window, the last told at {when}.")
        if each.purse.unconfirmed_nano:
            lines.append(
                f"- {name}: {show_usd(each.purse.unconfirmed_nano)} is unconfirmed;"
                f" `prefect-governor budget reconcile` resolves it."
            )
    said = lines or ["Nothing was refused in this window, nothing is paused."]
    return "\n".join(["## Refused, paused, unconfirmed", "", *said])


def _table(
    what: str, rows: Iterable[tuple[str, Spend]], *, other: tuple[str, Spend] | None = None
) -> str:
    found = [*rows, *([] if other is None else [other])]
    if not any(spend.calls for _, spend in found):
        return "Nothing."
    most = max(gone_nano(spend) for _, spend in found)
    lines = [
        f"| {name} | {show_usd(gone_nano(spend))} | {spend.calls:,} |"
        f" {_beside(gone_nano(spend), most)} |"
        for name, spend in found
    ]
    return "\n".join([f"| {what} | spent | calls | |", "| --- | ---: | ---: | --- |", *lines])


def _beside(part: int, most: int) -> str:
    return f"`{bar(part, most)}`" if part else ""


def _youngest_first(days: Sequence[tuple[str, Spend]]) -> Sequence[tuple[str, Spend]]:
    """Without those before the first that had a call."""
    first = next((at for at, (_, spend) in enumerate(days) if spend.calls), len(days))
    return days[first:][::-1]


def _most(rows: Sequence[tuple[str, Spend]]) -> Sequence[tuple[str, Spend]]:
    return rows[:MOST_ROWS]


def _rest(rows: Sequence[tuple[str, Spend]]) -> tuple[str, Spend] | None:
    """All others as one row."""
    rest = [spend for _, spend in rows[MOST_ROWS:]]
    if not rest:
        return None
    total = Spend(
        sum(each.calls for each in rest),
        sum(each.spent_nano for each in rest),
        sum(each.unconfirmed_nano for each in rest),
        sum(each.reserved_nano for each in rest),
        sum(each.input_tokens for each in rest),
        sum(each.output_tokens for each in rest),
    )
    return f"{len(rest):,} others", total


def _dearest(statement: Statement) -> str:
    if not statement.pieces:
        return "None."
    rows = [
        f"| {code(each.name or '(no item)')} | {code(each.flow or '(no flow)')} |"
        f" {show_usd(gone_nano(each.spend))} | {each.spend.calls:,} |"
        f" {each.spend.input_tokens:,} | {each.spend.output_tokens:,} |"
        for each in statement.pieces
    ]
    head = "| item or task | flow | spent | calls | tokens in | tokens out |"
    return "\n".join([head, "| --- | --- | ---: | ---: | ---: | ---: |", *rows])


def _deployment(key: str | None, names: Mapping[str, str]) -> str:
    return "(no deployment)" if key is None else names.get(key, "(a deployment that was deleted)")


def _time(at: float, time_zone: str) -> str:
    instant = datetime.fromtimestamp(min(at, _LATEST), tz=timezone.utc)
    return f"{instant.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M} {time_zone}"


# What a calendar can say.
_LATEST = datetime(9998, 1, 1, tzinfo=timezone.utc).timestamp()
