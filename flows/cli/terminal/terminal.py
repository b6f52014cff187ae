"""What a person sees: progress on stderr, the result on stdout."""

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.report.reasons import (
    ReasonGroup,
    Saying,
    group_notes,
    group_reasons,
    grouped_notes,
    grouped_skips,
    one_line,
)
from prefect_governor.flows.report.shown.amounts import usd
from prefect_governor.flows.report.shown.results import answer_in

if TYPE_CHECKING:
    from prefect_governor.flows.report.model import ItemReport, Report

# Where stderr is no terminal, a plain line this often, in seconds.
PLAIN_SECONDS = 2.0
# Of an answer, the table shows at most so many characters, and so many lines.
_ANSWER = 200
_LINES = 3
_ROWS = 50
# Where stdout is no terminal and COLUMNS does not say, a line has so many characters.
_WIDTH = 120
_COST = 10
# What the offline model begins its answers with: said once, below the table.
_EXTRACT = "offline extract"


def say(line: str) -> None:
    """One line to the person, out of the result's way; in vain where nobody listens any more."""
    with suppress(OSError, ValueError):
        print(scrubbed(line), file=sys.stderr, flush=True)


class ProgressLine:
    """A bar with the run's figures, or plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr is not None and sys.stderr.isatty()
        self._said = 0.0
        self._last = ""
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            with suppress(OSError, ValueError):
                self._bar.stop()

    def show(self, progress: Any) -> None:
        """Show where the run is; called from the thread that watches it."""
        text = _figures(progress)
        if self._live:
            with suppress(OSError, ValueError):
                self._bar.update(
                    self._task, total=progress.total, completed=progress.done, description=text
                )
            return
        now = time.monotonic()
        over = progress.done == progress.total
        if text != self._last and (over or now - self._said >= PLAIN_SECONDS):
            self._said, self._last = now, text
            say(text)


def print_report(
    report: "Report", *, ui_url: str, as_json: bool, stream: TextIO | None = None
) -> None:
    """The run's result on stdout, or on `stream`: the contract's object, or a table with where the
    rest is. Where it cannot be written, that is said, and where the results are."""
    out = stream or sys.stdout
    try:
        if out is None:
            raise OSError("it is closed")
        if as_json:
            print(_json_text(report.to_json(), out), file=out)
        else:
            _print_table(report, ui_url, out)
        out.flush()
    except (OSError, ValueError) as error:
        if out is not None and out is sys.stdout:
            _give_up(out)
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        say(f"the result cannot be written to standard output ({why}); it is kept:")
        for path in report.files:
            say(f"answers: {path}")
        say(f"page: {ui_url}")


def print_line(value: Any) -> None:
    """One JSON value as a line of stdout. Raises OSError."""
    if sys.stdout is None:
        raise OSError("it is closed")
    print(_json_text(value, sys.stdout), flush=True)


def _json_text(value: Any, stream: TextIO) -> str:
    """As the stream can have it: what it cannot encode, and half a character, which a model's JSON
    may hold, as the escape that JSON has for it."""
    unicode = (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")
    text = json.dumps(value, ensure_ascii=not unicode)
    return text.encode(errors="backslashreplace").decode()


def _give_up(stream: TextIO) -> None:
    """What is left in its buffer would be tried again as Python ends, and end in a traceback."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _print_table(report: "Report", ui_url: str, out: TextIO) -> None:
    known_width = out.isatty() or "COLUMNS" in os.environ
    # Answers are data: nothing in them is markup, a link or a number to colour.
    console = Console(
        file=out,
        width=None if known_width else _WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for line in _report_lines(report, console.width):
        console.print(line, soft_wrap=isinstance(line, str))
    for path in report.files:
        console.print(f"answers: {path}", soft_wrap=True)
    console.print(f"page: {ui_url}", soft_wrap=True)


def _report_lines(report: "Report", width: int) -> Iterator[str | Text | Table]:
    yield Text(f"{report.outcome}: {_counts(report)}", style="bold")
    answer = getattr(report, "answer", None)
    if answer:
        yield ""
        yield from answer.splitlines()
        yield ""
    answered = [item for item in report.items if item.state == "succeeded"]
    if answered:
        yield _table(answered[:_ROWS], width)
        if len(answered) > _ROWS:
            yield f"... and {len(answered) - _ROWS:,} more that succeeded"
        if any(_EXTRACT in _lead(answer_in(item.result)) for item in answered):
            yield "The answers are extracts, quoted by line number: no model was called."
    for group in group_reasons(report.items):
        yield Text(f"{group.count:,} {group.state.replace('_', ' ')}: {group.reason}", style="red")
        yield f"    {_names(group)}"
    # What an item that succeeded has to say, such as an answer that was cut.
    for group in group_notes(report.items):
        yield Text(f"{group.count:,} succeeded, but: {group.reason}", style="yellow")
        if group.count < len(answered):
            yield f"    {_names(group)}"
    for notes in grouped_notes(report.items):
        yield Text(f"{notes.count:,} {_noted(notes.count)}: {notes.reason}", style="yellow")
        if notes.count < len(report.items):
            yield f"    {_names(notes)}"
    for left_out in grouped_skips(report.skipped):
        yield Text(f"{left_out.count:,} skipped: {left_out.reason}", style="yellow")
        yield f"    {_names(left_out)}"
    yield report.spending()
    yield _held(report)
    yield from report.notes


def _held(report: "Report") -> str:
    """What may cost more yet, and what held it back."""
    unconfirmed, limits = report.budget.unconfirmed_usd, report.limits
    parts = [
        *([f"{usd(unconfirmed)} of it unconfirmed"] if unconfirmed else []),
        f"at most {limits.max_in_flight} in flight",
        *([f"held back by {limits.bottleneck}"] if limits.bottleneck else []),
    ]
    return "; ".join(parts)


def _table(items: "list[ItemReport]", width: int) -> Table:
    """Items with the beginning of their answers, laid out for a line's width."""
    longest = max(len(item.key) for item in items)
    key_width = min(max(longest, len("item")), max(12, width // 3))
    # Short of what the column has: words seldom fill a line.
    answer_width = max(20, width - key_width - _COST - 12)
    table = Table(box=box.SIMPLE_HEAD, width=width, pad_edge=False)
    table.add_column("item", width=key_width, no_wrap=True)
    table.add_column("answer", ratio=1, overflow="fold")
    table.add_column("usd", justify="right", width=_COST)
    for item in items:
        answer = _excerpt(answer_in(item.result), min(_ANSWER, _LINES * answer_width))
        table.add_row(
            Text(_key(item.key, key_width)), Text(answer), Text(f"{item.usd:.6f}", style="dim")
        )
    return table


def _key(key: str, width: int) -> str:
    """A key in a line's width: its end, from a folder on where that fits."""
    key = one_line(key, longest=max(len(key), 1))
    if len(key) <= width:
        return key
    end = key[-(width - 1) :]
    _, slash, rest = end.partition("/")
    return f"…/{rest}" if slash and rest else f"…{end}"


def _noted(count: int) -> str:
    return "item with a note" if count == 1 else "items with a note"


def _names(group: "ReasonGroup | Saying") -> str:
    names = ", ".join(one_line(key) for key in group.keys)
    more = group.count - len(group.keys)
    return f"{names} and {more:,} more" if more else names


def _lead(answer: Any) -> str:
    """The first line of an answer that begins by saying what it is."""
    first, _, rest = str(answer).partition("\n")
    return first if rest and first.rstrip().endswith(":") and _EXTRACT in first else ""


def _excerpt(answer: Any, longest: int) -> str:
    """The beginning of an answer on one line, without what begins every answer, cut at a word."""
    if isinstance(answer, str):
        lines = answer.removeprefix(_lead(answer)).strip().splitlines()
        text = "  ".join(line.strip().removeprefix("- ") for line in lines)
    else:
        text = json.dumps(answer, ensure_ascii=False, default=_text)
    line = one_line(text, longest=max(len(text), 1))
    if len(line) <= longest:
        return line
    short = textwrap.shorten(line, longest, placeholder=" …", break_on_hyphens=False)
    # A single word that is longer than all of it.
    return short if short != "…" else f"{line[: longest - 1]}…"


def _figures(progress: Any) -> str:
    cap = "" if progress.cap is None else f"/{progress.cap}"
    parts = [
        f"{progress.done}/{progress.total} done",
        f"{progress.failed} failed",
        *([f"{progress.skipped} skipped"] if progress.skipped else []),
        f"{progress.queued} queued",
        f"{progress.in_flight}{cap} in flight",
        progress.spending(),
    ]
    if progress.bottleneck:
        parts.append(f"waiting: {progress.bottleneck}")
        if progress.at_once:
            parts.append(f"at once: {progress.at_once}")
    return ", ".join(parts)


def _counts(report: "Report") -> str:
    return ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in report.counts().items() if count
    )


def _text(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
