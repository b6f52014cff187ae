"""`prefect-governor fan-out`, once its arguments are parsed."""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.blocks.home import state_folder
from prefect_governor.flows.server import ensure_server, run_url, use_server
from prefect_governor.flows.terminal import ProgressLine, print_forecast, print_report, say

INTERRUPTED = 3
FAILED = 1


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
    _quiet()
    info = None
    if governor is not None or model.startswith("block:"):
        # Blocks live on the server: without it nothing can be checked.
        info = ensure_server(on_progress=say)
        use_server(info)
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
        "min_success": min_success,
    }
    request = make_request(**parameters)
    if governor is not None:
        from prefect_governor.blocks.governor import resolve

        _ = resolve(governor)
    if out is not None:
        _check_writable(out)
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
    ceiling = request.ceiling_usd
    say(f"model: {request.model.name} ({request.model.why})")
    say(f"ceiling: {'the governor has it' if ceiling is None else f'${ceiling:.2f} for this run'}")
    if info is None:
        info = ensure_server(on_progress=say)
        use_server(info)
    return _run(parameters, info.ui_url, out=out, as_json=as_json)


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
            with _interruptible(control):
                report = fan_out(**parameters)
        except RunFailed as error:
            report = error.report
            if report is None:
                raise
        finally:
            current_control.reset(token)
    print_report(report, ui_url=run_url(ui_url, report.run_id), as_json=as_json)
    if control.interrupted:
        say(
            f"interrupted; Retry on {run_url(ui_url, report.run_id)} pays only for what is missing"
        )
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
    lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
    if not lines:
        raise ConfigurationError("stdin ('-') holds no lines: pipe in one item a line")
    rows = [
        json.dumps({"key": f"line-{at:0{len(str(len(lines)))}d}", "text": line}) + "\n"
        for at, line in enumerate(lines, start=1)
    ]
    text = "".join(rows)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = state_folder() / "inputs" / f"{digest}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def _check_writable(out: Path) -> None:
    try:
        with out.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {out}: {error.strerror}; choose another file with --out"
        ) from None


def _quiet() -> None:
    """Prefect's log lines would drown the progress; a person who wants them sets the level."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
