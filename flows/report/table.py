"""The table of all items, cut to what an artifact may hold. Pure."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prefect_governor.blocks.machine.text import storable
from prefect_governor.flows.report.model import ItemReport, Report, json_value
from prefect_governor.flows.report.reasons import one_line

MAX_ROWS = 5_000
MAX_BYTES = 1_000_000
LONGEST_RESULT = 200
MOST_LINKS = 10

# Between "!" and "[", between "]" and "(" or "[", and after a "<" that opens a tag.
_MARKUP = re.compile(r"(?<=!)(?=\[)|(?<=\])(?=[(\[])|(?<=<)(?=[A-Za-z/!?])")
# What a name may end a link's text with, or begin markup with.
_IN_A_LINK = re.compile(r"[^\w. /-]|_")


def rows(report: Report, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> list[Any]:
    """A row an item, in input order, and one for each of what is no item. Where they are too many
    or too large, the last row says how many are left out and where all of them are."""
    kept: list[dict[str, Any]] = []
    size = 0
    # A column only where there is something in it.
    beside = (
        Path(report.files[0]).parent
        if report.files and any(each.files for each in report.items)
        else None
    )
    noted = any(each.notes for each in report.items)
    # What is no item stands below them.
    left_out = [
        ItemReport(key=each.key, state="skipped", reason=each.reason) for each in report.skipped
    ]
    everything = [*report.items, *left_out] if left_out else report.items
    for place, item in enumerate(everything):
        row = _row(item, beside, noted)
        size += len(json.dumps(row)) + 2
        if place >= max_rows or size > max_bytes:
            kept.append(_rest(len(everything) - place, report.files, beside, noted))
            break
        kept.append(row)
    return kept


def _row(item: ItemReport, beside: Path | None, noted: bool) -> dict[str, Any]:
    row = {
        "key": literal(storable(item.key)),
        "state": item.state,
        "reason": literal(storable(item.reason or "")),
        **({"notes": literal(storable("; ".join(item.notes)))} if noted else {}),
        "usd": float(item.usd),
        "input tokens": item.tokens.input,
        "output tokens": item.tokens.output,
        "calls": item.calls,
        "attempts": item.attempts,
        "seconds": None if item.seconds is None else round(item.seconds, 3),
        # Last: cells do not wrap.
        "result": literal(shown(item.result)),
    }
    if beside is not None:
        row["files"] = _links(item, beside)
    return row


def _links(item: ItemReport, beside: Path) -> str:
    """An item's files as links that a cell which is shown as Markdown has; a browser opens them on
    the machine that they are on."""
    links = [
        f"[{_IN_A_LINK.sub(_escaped, storable(each.name.partition('/')[2].partition('/')[2]))}]"
        f"(file://{quote(str(beside / each.name))})"
        for each in item.files[:MOST_LINKS]
    ]
    more = len(item.files) - len(links)
    return ", ".join([*links, *([f"and {more:,} more"] if more > 0 else [])])


def _escaped(found: "re.Match[str]") -> str:
    return f"&#{ord(found[0])};"


def _rest(count: int, files: list[str], beside: Path | None, noted: bool) -> dict[str, Any]:
    where = f"all of them are in {storable(files[0])}" if files else "the run's result has them all"
    empty = dict.fromkeys(_row(ItemReport(key="", state="skipped"), beside, noted), None)
    return {**empty, "key": f"… {count:,} more items", "reason": where}


def shown(result: Any, *, longest: int = LONGEST_RESULT) -> str:
    """A result on one line, shortened: text as it is, anything else as JSON."""
    if result is None:
        return ""
    text = result if isinstance(result, str) else json.dumps(json_value(result), ensure_ascii=False)
    return storable(one_line(text, longest=longest))


def literal(text: str) -> str:
    """`text` with an invisible space wherever a cell that is shown as Markdown or HTML, as one of
    Prefect's UIs does, would make a link, an image or a tag of it."""
    return _MARKUP.sub("\u200b", text)
