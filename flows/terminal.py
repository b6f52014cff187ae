"""What a person sees: progress on stderr, the result on stdout."""

import json
import sys
import time
from decimal import Decimal
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typing_extensions import Self

from prefect_governor.flows.estimate import Forecast
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.reasons import group_reasons

# Where stderr is no terminal, a plain line this often, in seconds.
PLAIN_SECONDS = 2.0
_ANSWER_WIDTH = 100
_ROWS = 50


def say(line: str) -> None:
    """One line to the person, out of the result's way."""
    print(line, file=sys.stderr, flush=True)


class ProgressLine:
    """A bar with the run's figures, or plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
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
            self._bar.stop()

    def show(self, progress: Any) -> None:
        """Show where the run is; called from the thread that watches it."""
        text = _figures(progress)
        if self._live:
            self._bar.update(
                self._task, total=progress.total, completed=progress.done, description=text
            )
            return
        now = time.monotonic()
        over = progress.done == progress.total
        if text != self._last and (over or now - self._said >= PLAIN_SECONDS):
            self._said, self._last = now, text
            say(text)


def print_report(report: Report, *, ui_url: str, as_json: bool) -> None:
    """The run's result on stdout: the contract's object, or a table with where the rest is."""
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{report.outcome}: {_counts(report)}", title_justify="left")
    table.add_column("item", overflow="fold", max_width=40)
    table.add_column("state")
    table.add_column("answer", overflow="fold")
    table.add_column("usd", justify="right")
    for item in report.items[:_ROWS]:
        answer = item.result if item.state == "succeeded" else item.reason
        table.add_row(item.key, item.state, _short(answer), f"{item.usd:.6f}")
    console.print(table)
    if len(report.items) > _ROWS:
        console.print(f"… and {len(report.items) - _ROWS} more")
    for group in group_reasons(report.items):
        keys = ", ".join(group.keys)
        console.print(f"{group.count} x {group.reason} ({keys})", markup=False)
    budget = report.budget
    ceiling = "" if budget.ceiling_usd is None else f" of ${budget.ceiling_usd:.2f}"
    console.print(
        f"spent ${budget.spent_usd:.6f}{ceiling}, unconfirmed ${budget.unconfirmed_usd:.6f};"
        f" at most {report.limits.max_in_flight} in flight, bottleneck:"
        f" {report.limits.bottleneck or 'none'}",
        markup=False,
    )
    for note in report.notes:
        console.print(note, markup=False)
    for path in report.files:
        console.print(f"answers: {path}", markup=False, soft_wrap=True)
    console.print(f"page: {ui_url}", markup=False, soft_wrap=True)


def print_forecast(expected: Forecast, *, as_json: bool) -> None:
    """What a run would do, on stdout."""
    if as_json:
        print(json.dumps(expected.to_json()))
        return
    ceiling = "no ceiling of its own"
    if expected.ceiling_usd is not None:
        ceiling = f"a ceiling of ${expected.ceiling_usd:.2f}"
    print(f"model: {expected.model}")
    print(f"calls: {expected.calls} (a repair or a retry is one more)")
    print(f"tokens: about {expected.input_tokens:,} in, at most {expected.output_tokens:,} out")
    print(f"cost: at most ${expected.max_usd:.6f}, under {ceiling}")
    print(f"cost multiple of one agent in one go: {expected.cost_multiple:.2f}")
    for key, reason in expected.unreadable:
        print(f"cannot be read: {key}: {reason}")


def _figures(progress: Any) -> str:
    cap = "" if progress.cap is None else f"/{progress.cap}"
    ceiling = "" if progress.ceiling_usd is None else f"/${progress.ceiling_usd:.2f}"
    parts = [
        f"{progress.done}/{progress.total} done",
        f"{progress.failed} failed",
        f"{progress.queued} queued",
        f"{progress.in_flight}{cap} in flight",
        f"${progress.spent_usd:.4f}{ceiling}",
    ]
    if progress.bottleneck:
        parts.append(f"waiting: {progress.bottleneck}")
    return ", ".join(parts)


def _counts(report: Report) -> str:
    return ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in report.counts().items() if count
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_text)
    line = " ".join((text or "").split())
    return line if len(line) <= _ANSWER_WIDTH else f"{line[: _ANSWER_WIDTH - 1]}…"


def _text(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
