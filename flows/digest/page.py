"""A digest as people read it: a page in Markdown, a message in plain text. Pure. What comes from
items and models is data, and escaped."""

import json
from collections.abc import Callable, Sequence

from prefect_governor.flows.digest.changes import Changes
from prefect_governor.flows.report.markdown import escape
from prefect_governor.flows.report.model import ItemReport, Report, json_value
from prefect_governor.flows.report.publish import headline
from prefect_governor.flows.report.reasons import one_line

# Characters of one answer, and items of a list, that are shown; all of them are in the results.
_LONGEST = 4_000
_MOST = 200
# Of a message.
_LONGEST_SAID = 200
_MOST_SAID = 20


def page(
    changes: Changes,
    report: Report,
    *,
    ask: str,
    undelivered: Sequence[str] = (),
    most: int = _MOST,
) -> str:
    """The whole digest in Markdown, up to `most` items of each kind."""
    sections = [
        f"# {escape(changes.headline())}",
        f"> {escape(ask, longest=1_000)}",
        *(["Nothing was told before: everything is new."] if changes.first else []),
        *_items("New", changes.new, _answer, most),
        *_items("Changed", changes.changed, _answer, most),
        *_items("Without an answer", changes.unanswered, _reason, most),
        *_list("Removed from the sources", changes.removed, most),
        *_list("Left out", [f"{each.key}: {each.reason}" for each in report.skipped], most),
        f"As before, and not asked again: {len(changes.kept):,}.",
        escape(headline(report), longest=500),
        *[f"> {escape(each)}" for each in undelivered],
    ]
    return "\n\n".join(sections) + "\n"


def message(changes: Changes, report: Report, *, link: str | None) -> str:
    """What is told of it elsewhere, in plain text."""
    lines = [headline(report)]
    lines += _said("new", [f"{each.key}: {_short(each)}" for each in changes.new])
    lines += _said("changed", [f"{each.key}: {_short(each)}" for each in changes.changed])
    lines += _said(
        "without an answer",
        [f"{each.key}: {each.reason or each.state}" for each in changes.unanswered],
    )
    lines += _said("removed", changes.removed)
    return "\n".join([*lines, *([] if link is None else [link])])


def _items(
    title: str, items: Sequence[ItemReport], show: Callable[[ItemReport], str], most: int
) -> list[str]:
    if not items:
        return []
    shown = [f"### {escape(each.key)}\n\n{show(each)}" for each in items[:most]]
    return [f"## {title} ({len(items):,})", *shown, *_more(len(items) - most)]


def _list(title: str, lines: Sequence[str], most: int) -> list[str]:
    if not lines:
        return []
    shown = "\n".join(f"- {escape(each)}" for each in lines[:most])
    return [f"## {title} ({len(lines):,})", shown, *_more(len(lines) - most)]


def _more(left: int) -> list[str]:
    return [f"… and {left:,} more."] if left > 0 else []


def _answer(item: ItemReport) -> str:
    result = json_value(item.result)
    if isinstance(result, str):
        paragraphs = [each for each in result[:_LONGEST].split("\n") if each.strip()]
        shown = "\n\n".join(escape(each, longest=_LONGEST) for each in paragraphs) or "(empty)"
        return shown + ("…" if len(result) > _LONGEST else "")
    text = json.dumps(result, indent=2, ensure_ascii=False)
    # Indented, so that nothing in it ends the block.
    return "\n".join(f"    {line}" for line in text[:_LONGEST].splitlines())


def _reason(item: ItemReport) -> str:
    return escape(item.reason or item.state.replace("_", " "))


def _short(item: ItemReport) -> str:
    result = json_value(item.result)
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return one_line(text, longest=_LONGEST_SAID)


def _said(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    shown = [f"- {one_line(each, longest=_LONGEST_SAID)}" for each in lines[:_MOST_SAID]]
    left = len(lines) - _MOST_SAID
    return [f"{len(lines):,} {title}:", *shown, *([f"- … and {left:,} more"] if left > 0 else [])]
