"""`prefect-governor fan-out`, once its arguments are parsed."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.budget.money import show_usd, to_nano
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.server import ensure_server, run_url, use_server
from prefect_governor.flows.spool import spool
from prefect_governor.flows.terminal import ProgressLine, print_forecast, print_report, say

if TYPE_CHECKING:
    from prefect_governor.flows.job import Request

INTERRUPTED = 3
_QUIET_LEVEL = "WARNING"


def run_fan_out(
    sources: list[str],
    *,
    as_json: bool,
    ask: str,
    schema: Path | None,
    governor: str | None,
    model: str,
    max_usd: str | None,
    max_total_tokens: int | None,
    max_output_tokens: int | None,
    max_concurrent: int | None,
    rpm: int | None,
    tpm: int | None,
    timeout_seconds: float | None,
    min_success: float,
    max_cost_multiple: float | None,
    dry_run: bool,
    out: Path | None,
    yes: bool,
    resume: str | None,
) -> int:
    """Run a fan-out and print what came of it. Returns the exit status.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    _set_quiet()
    from prefect_governor.blocks.model.choice import BLOCK, OFFLINE
    from prefect_governor.flows.answers import read_schema
    from prefect_governor.flows.job import make_request

    parameters: dict[str, Any] = {
        "sources": [_spooled() if source == "-" else source for source in sources],
        "folder": os.getcwd(),
        "ask": ask,
        "schema": None if schema is None else read_schema(schema),
        "governor": governor,
        "model": model,
        "max_usd": max_usd,
        "max_total_tokens": max_total_tokens,
        "max_output_tokens": max_output_tokens,
        "max_concurrent": max_concurrent,
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "timeout_seconds": timeout_seconds,
        "min_success": min_success,
    }
    if max_cost_multiple is not None and not max_cost_multiple > 0:
        raise ConfigurationError(
            f"--max-cost-multiple must be a number above 0, not {max_cost_multiple:g}"
        )
    by_block = model.startswith(BLOCK)
    # Blocks live on the server: what can be checked without it is, before it is started.
    request = make_request(**parameters | ({"model": OFFLINE} if by_block else {}))
    if out is not None:
        _check_apart(out, [*sources, *(str(item.source) for item in request.items if item.source)])
        _check_writable(out)
    info = None
    if governor is not None or by_block:
        info = ensure_server(on_progress=say)
        use_server(info)
        request = make_request(**parameters)
    if governor is not None:
        _check_governor(governor, starts=not dry_run)
    if dry_run or max_cost_multiple is not None:
        from prefect_governor.flows.estimate import forecast

        expected = forecast(request)
        if max_cost_multiple is not None and expected.cost_multiple > max_cost_multiple:
            raise ConfigurationError(
                f"it would cost {expected.cost_multiple:.1f} times what one agent reading all of"
                f" it costs, over --max-cost-multiple {max_cost_multiple:g}: ask about fewer,"
                " larger items, or raise it"
            )
        if dry_run:
            print_forecast(expected, as_json=as_json)
            return 0
    say(f"model: {request.model.name} ({request.model.why})")
    say(f"ceiling: {_ceiling(request)}")
    if info is None:
        info = ensure_server(on_progress=say)
        use_server(info)
    return _run(parameters, info.ui_url, out=out, as_json=as_json)


def _check_governor(name: str, *, starts: bool) -> None:
    """Raises ConfigurationError for a governor, a budget above it or a limit that is not valid."""
    from prefect_governor.blocks.governor import resolve
    from prefect_governor.blocks.registry import accounts_of

    governor = resolve(name)
    accounts_of(name)
    if starts:
        _ = governor.runtime


def _ceiling(request: "Request") -> str:
    """What the run may cost, in a person's words."""
    parts = []
    if request.ceiling_usd is not None:
        parts.append(show_usd(to_nano(request.ceiling_usd)))
    if request.max_total_tokens is not None:
        parts.append(f"{request.max_total_tokens:,} tokens")
    own = f"{' and '.join(parts)} for this run" if parts else ""
    above = "" if request.governor is None else f"what governor {request.governor!r} has left"
    return ", within ".join(part for part in (own, above) if part)


def _run(parameters: dict[str, Any], ui_url: str, *, out: Path | None, as_json: bool) -> int:
    from prefect_governor.flows.control import Control, current_control
    from prefect_governor.flows.fanout import fan_out

    def started(run_id: str) -> None:
        say(f"run: {run_id}")
        say(f"page: {run_url(ui_url, run_id)}")

    with ProgressLine() as line:
        control = Control(watch=line.show, started=started, out=out and out.absolute())
        token = current_control.set(control)
        try:
            with _interruptible(control), _hushed():
                fan_out(**parameters)
        except RunFailed:
            # The report says it.
            pass
        except Exception as error:
            # A server that goes away at the end must not take the answers with it.
            if control.report is None:
                raise
            say(f"the end of the run did not reach Prefect: {type(error).__name__}: {error}")
        finally:
            current_control.reset(token)
    report = control.report
    assert report is not None, "a run that ended has its report"
    print_report(report, ui_url=run_url(ui_url, report.run_id), as_json=as_json)
    if control.interrupted:
        say(f"interrupted; what finished is in {report.files[0]}")
        return INTERRUPTED
    return int(report.exit_status)


@contextmanager
def _interruptible(control: Any) -> Iterator[None]:
    """Ctrl-C once stops starting, twice cancels what is in flight, a third time is Python's."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        if control.abort.is_set():
            raise KeyboardInterrupt
        if control.stop.is_set():
            control.abort.set()
            say("cancelling what is in flight; it stays charged as unconfirmed")
            return
        control.interrupted = True
        control.stop.set()
        say("starting nothing more; finishing what is in flight (Ctrl-C again cancels it)")

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _spooled() -> str:
    """Stdin as a file of rows, so that the run's parameters stay small and a worker can read it
    again."""
    try:
        lines = sys.stdin.read().splitlines() if sys.stdin else []
        rows = [
            {"key": f"line-{at:0{len(str(len(lines)))}d}", "text": line}
            for at, line in enumerate(lines, start=1)
            if line.strip() and line.encode()
        ]
    except UnicodeError:
        raise ConfigurationError("stdin ('-') is not UTF-8 text: convert it first") from None
    if not rows:
        raise ConfigurationError("stdin ('-') holds no lines: pipe in one item a line")
    return str(spool(rows))


def _check_apart(out: Path, sources: list[str]) -> None:
    """What is asked about must not be what is written."""
    if out.resolve() in {Path(source).resolve() for source in sources if source != "-"}:
        raise ConfigurationError(
            f"--out {out} is one of the sources and would be overwritten: write to another file, or"
            " name sources without it"
        )


def _check_writable(out: Path) -> None:
    was_there = out.exists()
    if was_there and not out.is_dir() and not out.is_file():
        # It is written beside and then put in its place, which would replace a device.
        raise ConfigurationError(f"{out} is no plain file: choose another one with --out")
    try:
        with out.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {out}: {error.strerror}; choose another file with --out"
        ) from None
    if not was_there:
        out.unlink()


def _set_quiet() -> None:
    """Before Prefect is imported, which reads it once. A person who wants its log lines sets the
    level; in the UI are those of failures in any case."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", _QUIET_LEVEL)
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Prefect's lines about each failed task run out of the progress: the report has them."""
    if os.environ["PREFECT_LOGGING_LEVEL"] != _QUIET_LEVEL:
        yield
        return
    handlers = list(logging.getLogger().handlers)
    raising = logging.raiseExceptions
    # Else what Prefect's server was too busy to take is printed, a batch of log lines each.
    logging.raiseExceptions = False
    for handler in handlers:
        handler.addFilter(_is_for_the_person)
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        for handler in handlers:
            handler.removeFilter(_is_for_the_person)


def _is_for_the_person(record: logging.LogRecord) -> bool:
    """Whatever is not Prefect's own, such as our own warnings."""
    room, _, name = record.name.partition(".")
    return (
        room != "prefect"
        or name.startswith("prefect_governor")
        or record.levelno >= logging.CRITICAL
    )
