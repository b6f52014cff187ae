"""One run of the command line, from its first line to its exit status."""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect_governor.blocks.errors import GovernorError, RunFailed
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.flows.cli.terminal.command_line import RunBroken
from prefect_governor.flows.cli.terminal.interrupts import interruptible
from prefect_governor.flows.cli.terminal.outputs import (
    STDOUT,
    check_writable,
    claim,
    run_to_go_on_with,
)
from prefect_governor.flows.cli.terminal.terminal import (
    ProgressLine,
    print_line,
    print_report,
    say,
)
from prefect_governor.flows.run.resuming import PastRun, find_run, held
from prefect_governor.flows.server.server import ensure_server, run_url, use_server

if TYPE_CHECKING:
    from prefect_governor.flows.cli.terminal.options import Told
    from prefect_governor.flows.report.model import ItemReport
    from prefect_governor.flows.run.job import Terms

T = TypeVar("T", bound="Terms")

INTERRUPTED = 3
# Nothing was started, as after a usage error.
TURNED_DOWN = 2
_QUIET_LEVEL = "WARNING"


def run_command(
    command: str,
    parameters: Mapping[str, Any],
    told: "Told",
    *,
    make: Callable[..., T],
    show: Callable[[T], None],
    may_start: Callable[[T], bool],
    flow: Callable[[], Callable[..., Any]],
) -> int:
    """Check what a command was asked for, and run its flow; with `dry_run`, only `show` what it
    would come to. Returns the exit status.

    Args:
        parameters: the flow's. With `resume` the run goes on with an earlier one: those that were
            given are new, all others are what they were.
        make: checks them all, before anything starts.
        may_start: whether the run is worth it, and a person who must be asked says yes; a run that
            is turned down is a usage error.
        flow: the flow, imported when it is called.

    Raises ConfigurationError for anything wrong with what was given, before anything starts.
    """
    from prefect_governor.blocks.models.choice import BLOCK
    from prefect_governor.blocks.models.library.module import warm_up
    from prefect_governor.blocks.prices.prices import OFFLINE

    past = None if told.resume is None else _past_run(told.resume, command, flow)
    if past is not None:
        parameters = past.gone_on_with(
            parameters, told.given, say=say, retry_failed=told.retry_failed
        )
    # Blocks live on the server: what can be checked without it is, before it is started.
    on_server: dict[str, Any] = {}
    if parameters["governor"] is not None:
        # It may have the model's price.
        on_server["governor"] = None
    if on_server or parameters["model"].startswith(BLOCK):
        on_server["model"] = OFFLINE
    if parameters.get("sandbox") is not None:
        on_server["sandbox"] = None
    if parameters.get("deployment") is not None:
        on_server |= {"shards": None, "deployment": None}
    request = make(**{**parameters, **on_server})
    out = None if told.out == STDOUT else told.out
    if out is not None and not told.dry_run:
        going_on = run_to_go_on_with(out, command, parameters, past=past, force=told.force)
        if going_on is not None:
            say(f"going on with run {going_on.run_id}, whose results {out} holds")
            past = going_on
        check_writable(out)
    info = None
    if on_server:
        info = ensure_server(on_progress=say)
        use_server(info)
        request = make(**parameters)
    if parameters["governor"] is not None:
        check_governor(parameters["governor"], starts=not told.dry_run)
    if told.dry_run:
        show(request)
        return 0
    if not may_start(request):
        say("not started; nothing was spent")
        return TURNED_DOWN
    # It takes seconds, in which the server is asked and the run made ready.
    warm_up().add_done_callback(lambda _: gc.freeze())
    say(f"model: {request.model.name} ({request.model.why})")
    say(f"ceiling: {ceiling_text(request)}")
    if info is None:
        info = ensure_server(on_progress=say)
        use_server(info)
    return run_flow(
        flow(),
        parameters,
        command=command,
        ui_url=info.ui_url,
        out=told.out,
        as_json=told.as_json,
        kept_as=None if past is None else past.kept_as,
        retry_failed=told.retry_failed,
    )


def _past_run(run: str, command: str, flow: Callable[[], Callable[..., Any]]) -> PastRun:
    """An earlier run of this folder's, or one that Prefect's server knows: deployed, or a
    program's. Raises ConfigurationError."""

    def of_the_server(run_id: UUID) -> PastRun | None:
        use_server(ensure_server(on_progress=say))
        from prefect_governor.flows.run.flow_runs import read_run

        return read_run(run_id, command=command, flow=flow())

    return find_run(run, command=command, say=say, elsewhere=of_the_server)


def run_flow(
    flow: Callable[..., Any],
    parameters: Mapping[str, Any],
    *,
    command: str,
    ui_url: str,
    out: Path | None,
    as_json: bool,
    kept_as: str | None = None,
    retry_failed: bool = False,
) -> int:
    """Run a ready flow and print what came of it. Returns the exit status.

    `out` is where the results go; "-" is stdout, an item a line as each finishes, and the table
    goes to stderr. `kept_as` names the run that this one goes on with. Only one process does, and
    this one alone does with its own while it lasts.

    Raises ConfigurationError before anything starts, RunBroken for what nobody expected.
    """
    from prefect_governor.flows.run.control import Control, current_control

    # What the imports made stays for as long as this process, and looking through it takes half a
    # second in which nothing moves. So it is with LiteLLM's, once that is there.
    gc.freeze()
    piped = out == STDOUT
    file = None if piped else out
    run: PastRun | None = None
    with ExitStack() as stack:
        if kept_as is not None:
            stack.enter_context(held(kept_as))

        def started(run_id: str) -> None:
            nonlocal run
            take_again()
            if kept_as is None:
                stack.enter_context(held(run_id))
            run = PastRun(run_id, kept_as or run_id, command, parameters)
            run.save()
            if file is not None:
                claim(file, run)
            say(f"run: {run_id}")
            say(f"page: {run_url(ui_url, run_id)}")

        line = stack.enter_context(ProgressLine())
        control = Control(
            watch=line.show,
            started=started,
            out=file and file.absolute(),
            kept_as=kept_as,
            retry_failed=retry_failed,
        )
        if piped:
            control.told = _Piped().give
        token = current_control.set(control)
        try:
            with interruptible(control) as take_again, _hushed():
                flow(**parameters)
        except RunFailed:
            # The report says it.
            pass
        except KeyboardInterrupt:
            if run is None:
                raise
            say(f"interrupted; run {run.run_id} was started, and what was in flight stays charged")
            say(f"go on with it: {way_on(run)}")
            return INTERRUPTED
        # Also what would end the process without a word (SystemExit).
        except BaseException as error:
            # A server that goes away at the end must not take the answers with it.
            if control.report is None:
                if run is None or isinstance(error, GovernorError):
                    raise
                raise RunBroken(run.run_id, way_on(run)) from error
            say(f"the end of the run did not reach Prefect: {type(error).__name__}: {error}")
        finally:
            current_control.reset(token)
    report = control.report
    assert report is not None and run is not None, "a run that ended has its report"
    # Where there is no room for that, it is gone on with as one that was interrupted.
    with suppress(OSError):
        replace(run, ended=True).save()
    print_report(
        report,
        ui_url=run_url(ui_url, report.run_id),
        as_json=as_json,
        stream=sys.stderr if piped else None,
    )
    if control.interrupted:
        say(f"interrupted; what finished is in {report.files[0]}")
    for advice in report.advice:
        say(str(advice))
    return INTERRUPTED if control.interrupted else int(report.exit_status)


def way_on(run: PastRun) -> str:
    """The command that goes on with a run."""
    return f"prefect-governor {run.command} --resume {run.run_id}"


class _Piped:
    """Items as lines of stdout, until nobody reads them any more: all are in the results' file."""

    _open = True

    def give(self, item: "ItemReport") -> None:
        """Print an item."""
        if not self._open:
            return
        try:
            print_line(item.to_json())
        except (OSError, ValueError) as error:
            self._open = False
            say(f"standard output takes no more items ({error}); they are kept with the run")


def check_governor(name: str, *, starts: bool) -> None:
    """Raises ConfigurationError for a governor, a budget above it or a limit that is not valid."""
    from prefect_governor.blocks.documents.documents import accounts_of
    from prefect_governor.blocks.governor import resolve

    governor = resolve(name)
    accounts_of(name)
    if starts:
        _ = governor.runtime


def ceiling_text(request: "Terms") -> str:
    """What the run may cost, in a person's words."""
    parts = []
    if request.ceiling_usd is not None:
        parts.append(show_usd(to_nano(request.ceiling_usd)))
    if request.max_total_tokens is not None:
        parts.append(f"{request.max_total_tokens:,} tokens")
    own = f"{' and '.join(parts)} for this run" if parts else ""
    above = "" if request.governor is None else f"what governor {request.governor!r} has left"
    return ", within ".join(part for part in (own, above) if part)


def set_quiet() -> None:
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
    # The run's own page has its log all the same.
    of_runs = logging.getLogger("prefect.flow_runs")
    level = of_runs.level
    of_runs.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        of_runs.setLevel(level)
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
