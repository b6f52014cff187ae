"""The summary of a run in Markdown. Everything that comes from items is data, and escaped."""

import re
from collections.abc import Sequence

from prefect_governor.blocks.errors import bad_kind
from prefect_governor.flows.report.model import (
    ITEM_STATES,
    BudgetReport,
    LimitsReport,
    Report,
    tally,
)
from prefect_governor.flows.report.reasons import (
    ReasonGroup,
    Saying,
    group_notes,
    group_reasons,
    grouped_notes,
    grouped_skips,
    one_line,
)
from prefect_governor.flows.report.shown.amounts import bar, usd

_MOST_GROUPS = 20
# What the ledger calls a bottleneck, in a person's words; rates speak for themselves.
_BOTTLENECKS = {
    "budget_usd": "the ceiling in USD",
    "budget_total_tokens": "the ceiling in tokens",
    "max_concurrent": "the cap",
    "prefect_limit": "slots of Prefect's limit",
    "throttled": "the provider's own limit",
    "queue": "calls of other processes",
}
PICTURE = "In flight, queue, rate and spend over time"
_HEADLINES = {"complete": "Complete", "partial": "Partial", "failed": "Failed"}

# A backslash before these makes any Markdown renderer show the character itself.
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$]|^[#+=-]|^\d+(?=[.)]))")
# GFM makes links of bare addresses, and browsers read tags and entities: entities keep them text.
_LINKING = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ("://", "&#58;//"),
    ("@", "&#64;"),
    ("www.", "www&#46;"),
)


def escape(text: str, *, longest: int = 300) -> str:
    """`text` as one line that any Markdown or HTML renderer shows as it is."""
    flat = one_line(text, longest=longest)
    for plain, entity in _LINKING:
        flat = re.sub(re.escape(plain), entity, flat, flags=re.IGNORECASE)
    return _SPECIAL.sub(_escaped, flat)


def code(text: str, *, longest: int = 80, in_table: bool = False) -> str:
    """`text` as code on one line, of which renderers make nothing else; a pipe would end the cell
    of a table."""
    flat = one_line(text, longest=longest)
    if not flat or (in_table and "|" in flat and "\\" in flat):
        return escape(text, longest=longest)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    room = " " if flat[0] == "`" or flat[-1] == "`" else ""
    made = f"{fence}{room}{flat}{room}{fence}"
    return made.replace("|", "\\|") if in_table else made


def _escaped(found: "re.Match[str]") -> str:
    text = found[0]
    # "1." opens a list; a digit cannot be escaped itself.
    return f"&#{ord(text[0])};{text[1:]}" if text[0].isdigit() else f"\\{text}"


def summary(report: Report, *, picture: str | None = None) -> str:
    """The whole summary. `picture` is where the run over time is to be seen, as a link."""
    sections = [
        *_heading(report),
        *([_counts(report)] if report.items or report.skipped else []),
        _money(report),
        *_statement(report.budget.statement),
        *([_limits(report)] if report.limits != LimitsReport() else []),
        *([] if picture is None else [f"[{PICTURE}]({picture})"]),
        *_reasons("What did not succeed", group_reasons(report.items)),
        *_reasons("What succeeded, but", group_notes(report.items)),
        *_sayings("How it was read", "items", grouped_notes(report.items)),
        *_sayings("What was left out", "skipped", grouped_skips(report.skipped)),
        *_going_on(report),
        *_files(report),
        *[f"> {escape(note)}" for note in report.notes],
    ]
    return "\n\n".join(sections) + "\n"


def _heading(report: Report) -> list[str]:
    what = _HEADLINES[report.outcome]
    if report.reason and not report.items:
        # It ended before there were any.
        return [f"# {what}: {escape(report.reason)}"]
    said = tally(report.items)
    # The heading has the tally already.
    reason = (report.reason or "").replace(f"{said}; ", "", 1).removesuffix(f": {said}")
    return [f"# {what}: {escape(said)}", *([escape(reason)] if reason else [])]


def _counts(report: Report) -> str:
    counts = report.counts()
    rows = [
        f"| {state.replace('_', ' ')} | {counts[state]} |"
        for state in ITEM_STATES
        if counts[state] or state == "succeeded"
    ]
    rows.append(f"| **total** | **{len(report.items)}** |")
    if report.skipped:
        rows.append(f"| no items: left out of the sources | {len(report.skipped)} |")
    return "\n".join(["| state | items |", "| --- | ---: |", *rows])


def _money(report: Report) -> str:
    budget = report.budget
    used = budget.spent_usd + budget.unconfirmed_usd
    lines = ["## Money", f"This run: **{usd(report.run_usd)}**"]
    if budget.ceiling_usd is None:
        lines.append(f"Spent in all: {usd(used)}, under no ceiling in USD.")
    else:
        share = f"{used / budget.ceiling_usd:.0%}" if budget.ceiling_usd > 0 else "all"
        lines.append(
            f"`{bar(used, budget.ceiling_usd)}` {usd(used)} of {usd(budget.ceiling_usd)}"
            f" ({share}){_named(budget)}"
        )
    held = []
    if budget.unconfirmed_usd:
        held.append(
            f"{usd(budget.unconfirmed_usd)} of it is unconfirmed: charged at its bound until"
            " somebody knows what the provider billed"
        )
    if budget.reserved_usd:
        held.append(f"{usd(budget.reserved_usd)} more is held by calls in flight")
    if held:
        lines.append("; ".join(held) + ".")
    if report.cost_multiple is not None:
        lines.append(f"{report.cost_multiple:.1f} times one agent doing it in one go.")
    return "\n\n".join(lines)


def _statement(key: str | None) -> list[str]:
    # Beside the summary's own page, whatever the UI's address is.
    return [] if key is None else [f"[All that its governor has spent, and on what](../key/{key})"]


def _named(budget: BudgetReport) -> str:
    name = f" in {escape(budget.name)}" if budget.name else ""
    # "total" has no other, and a run's own is the run.
    if not budget.window or budget.window == "total" or budget.window.startswith("run:"):
        return name
    return f"{name}, window {escape(budget.window)}"


def _limits(report: Report) -> str:
    limits = report.limits
    cap = "no cap" if limits.cap is None else f"a cap of {limits.cap}"
    held = (
        f"held back by **{escape(_BOTTLENECKS.get(limits.bottleneck, limits.bottleneck))}**"
        if limits.bottleneck
        else "held back by no limit"
    )
    throttled = f", throttled by the provider {limits.throttled} times" if limits.throttled else ""
    return f"## Limits\n\nAt most {limits.max_in_flight} in flight under {cap}; {held}{throttled}."


def _reasons(title: str, groups: Sequence[ReasonGroup]) -> list[str]:
    if not groups:
        return []
    rows = [
        f"| {group.count} | {group.state.replace('_', ' ')} | {escape(group.reason)} |"
        f" {', '.join(code(key, in_table=True) for key in group.keys)} |"
        for group in groups[:_MOST_GROUPS]
    ]
    table = ["| items | state | why | for example |", "| ---: | --- | --- | --- |", *rows]
    rest = groups[_MOST_GROUPS:]
    parts = [f"## {title}", "\n".join(table)]
    if rest:
        parts.append(
            f"and {sum(group.count for group in rest)} more items for {len(rest)} other reasons."
        )
    return parts


def _sayings(title: str, what: str, groups: Sequence[Saying]) -> list[str]:
    if not groups:
        return []
    rows = [
        f"| {group.count} | {escape(group.reason)} |"
        f" {', '.join(code(key, in_table=True) for key in group.keys)} |"
        for group in groups[:_MOST_GROUPS]
    ]
    parts = [
        f"## {title}",
        "\n".join([f"| {what} | why | for example |", "| ---: | --- | --- |", *rows]),
    ]
    if rest := groups[_MOST_GROUPS:]:
        parts.append(
            f"and {sum(group.count for group in rest)} more for {len(rest)} other reasons."
        )
    return parts


def _going_on(report: Report) -> list[str]:
    if report.outcome == "complete":
        return []
    lines = []
    if report.counts()["over_budget"] and not report.advice:
        name = escape(report.budget.name or "the budget")
        lines.append(
            f"- Raise the ceiling of {name} first: edit its block, or `max_usd` where the run has"
            " a ceiling of its own."
        )
    if report.resumable:
        bad = sum(bad_kind(each.reason) is not None for each in report.items
                  if each.state == "failed")  # fmt: skip
        kept = "1 bad answer that was" if bad == 1 else f"{bad:,} bad answers that were"
        raised = "Once the ceiling is raised, " if report.counts()["over_budget"] else ""
        lines.append(
            f"- {raised}**Retry** on this run's page (of a deployed run) runs only what is missing:"
            " what succeeded is neither run nor paid for again"
            + (f", and {kept} paid for fail again as they are, unasked." if bad else ".")
        )
        lines += [
            f"- {escape(each.what[:1].upper() + each.what[1:])}, on the command line:"
            f" {code(each.command, longest=1000)} ({escape(each.price)})"
            for each in report.advice
        ]
    else:
        lines.append(
            "- **Retry** on this run's page runs the flow again, and with it every task whose"
            " result Prefect does not cache."
        )
    return ["## How to go on", "\n".join(lines)]


def _files(report: Report) -> list[str]:
    if not report.files:
        return []
    names = "\n".join(f"- {code(name, longest=1000)}" for name in report.files)
    return [f"## Files\n\nOn {code(report.host)}:", names]
