"""The table of all items, cut to what an artifact may hold. Pure."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.machine.text import storable
from prefect_governor.flows.report.model import ItemReport, Report, json_value
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.report.shown.amounts import padded, places_for
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.shown.places import on_host
from prefect_governor.flows.report.shown.results import answer_in

MAX_ROWS = 5_000
MAX_BYTES = 1_000_000
LONGEST_RESULT = 200
# Of a cell: none of Prefect's UIs breaks its line.
LONGEST_CELL = 120
MOST_NAMES = 10
# Below so many seconds for each of them, hundredths count.
_TENTHS_FROM = 10.0


def rows(report: Report, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> list[Any]:
    """What all came to, then a row an item, in input order, and one for each of what is no item.
    Where they are too many or too large, the last row says how many are left out and where all of
    them are. All cells are texts, which look the same in a UI that shows them as Markdown and in
    one that does not."""
    # What is no item stands below them.
    left_out = [
        ItemReport(key=each.key, state="skipped", reason=each.reason) for each in report.skipped
    ]
    everything = [*report.items, *left_out] if left_out else report.items
    if not everything:
        return []
    questions = report.questions()
    columns = [
        "key",
        *(["question"] if questions else []),
        "state",
        # A column only where there is something in it.
        *(["reason"] if any(each.reason for each in everything) else []),
        "result",
        *(["notes"] if any(each.notes for each in everything) else []),
        *(["files"] if any(each.files for each in everything) else []),
    ]
    figures = _figures(everything)
    kept: list[dict[str, str]] = [_total(report, columns, figures[0])]
    size = len(json.dumps(kept[0]))
    for place, item in enumerate(everything):
        words = _words(item, questions.get(item.key, ""))
        row = {name: words[name] for name in columns} | figures[place + 1]
        size += len(json.dumps(row)) + 2
        if place >= max_rows or size > max_bytes:
            kept.append(_rest(len(everything) - place, report, list(row)))
            break
        kept.append(row)
    return kept


def _words(item: ItemReport, question: str) -> dict[str, str]:
    return {
        "key": literal(storable(item.key)),
        "question": literal(storable(one_line(question, longest=LONGEST_CELL))),
        "state": item.state.replace("_", " "),
        "reason": literal(storable(one_line(item.reason or "", longest=LONGEST_CELL))),
        "result": literal(shown(answer_in(item.result), longest=LONGEST_CELL)),
        "notes": literal(storable(one_line("; ".join(item.notes), longest=LONGEST_CELL))),
        "files": _names(item),
    }


def _figures(everything: Sequence[ItemReport]) -> list[dict[str, str]]:
    """The figures of all together, and of each, in columns of one precision."""
    amounts = [each.usd for each in everything]
    amounts.insert(0, sum(amounts, Decimal(0)))
    places = places_for(amounts)
    times = [each.seconds for each in everything]
    fine = 2 if all(each is None or each < _TENTHS_FROM for each in times) else 1
    counts: dict[str, list[int]] = {
        "input tokens": [each.tokens.input for each in everything],
        "output tokens": [each.tokens.output for each in everything],
        "calls": [each.calls for each in everything],
        "attempts": [each.attempts for each in everything],
    }
    columns = {
        "usd": padded([f"{each:,.{places}f}" for each in amounts]),
        **{
            name: padded([f"{each:,}" for each in (sum(values), *values)])
            for name, values in counts.items()
        },
        # They ran side by side: their sum is no time that anybody waited.
        "seconds": padded(["", *("" if each is None else f"{each:,.{fine}f}" for each in times)]),
    }
    return [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]


def _total(report: Report, columns: Sequence[str], figures: Mapping[str, str]) -> dict[str, str]:
    row = dict.fromkeys(columns, "")
    count = len(report.items)
    return {
        **row,
        "key": f"total of {count:,} item{'s' * (count != 1)}",
        "state": f"{report.counts()['succeeded']:,} succeeded",
        **figures,
    }


def _names(item: ItemReport) -> str:
    """Of an item's files, relative to its own folder."""
    names = [each.name.partition("/")[2].partition("/")[2] for each in item.files[:MOST_NAMES]]
    more = len(item.files) - len(names)
    said = [*names, *([f"and {more:,} more"] if more > 0 else [])]
    return literal(storable(one_line(", ".join(said), longest=LONGEST_CELL)))


def _rest(count: int, report: Report, names: Sequence[str]) -> dict[str, str]:
    row = dict.fromkeys(names, "")
    where = (
        f"all of them are {literal(storable(on_host(report.host, report.files[0])))}"
        if report.files
        else "the run's result has them all"
    )
    return {**row, "key": f"… {count:,} more items", "result": where}


def shown(result: Any, *, longest: int = LONGEST_RESULT) -> str:
    """A result on one line, shortened: text as it is, anything else as JSON."""
    if result is None:
        return ""
    text = result if isinstance(result, str) else json.dumps(json_value(result), ensure_ascii=False)
    return storable(one_line(text, longest=longest))
