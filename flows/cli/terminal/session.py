"""One run of the command line, from its first line to its exit status."""

import gc
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.flows.cli.terminal.interrupts import interruptible
from prefect_governor.flows.cli.terminal.terminal import ProgressLine, print_report, say
from prefect_governor.flows.run.resuming import PastRun, find_run, held
from prefect_governor.flows.server.server import ensure_server, run_url, use_server

if TYPE_CHECKING:
    from prefect_governor.flows.cli.terminal.options import Told
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
    if parameters["model"].startswith(BLOCK):
        on_server["model"] = OFFLINE
    if parameters.get("sandbox") is not None:
        on_server["sandbox"] = None
    request = make(**{**parameters, **on_server})
    if told.out is not None:
        check_writable(told.out)
    info = None
    if parameters["governor"] is not None or on_server:
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

    `kept_as` names the run that this one goes on with. Only one process does, and this one alone
    does with its own while it lasts.

    Raises ConfigurationError before anything starts.
    """
    from prefect_governor.flows.run.control import Control, current_control

    # What the imports made stays for as long as this process, and looking through it takes half a
    # second in which nothing moves. So it is with LiteLLM's, once that is there.
    gc.freeze()
    with ExitStack() as stack:
        if kept_as is not None:
            stack.enter_context(held(kept_as))

        def started(run_id: str) -> None:
            if kept_as is None:
                stack.enter_context(held(run_id))
            PastRun(run_id, kept_as or run_id, command, parameters).save()
            if out is not None:
                write_whole(out.with_name(f"{out.name}.run"), f"{run_id}\n")
            say(f"run: {run_id}")
            say(f"page: {run_url(ui_url, run_id)}")

        line = stack.enter_context(ProgressLine())
        control = Control(
            watch=line.show,
            started=started,
            out=out and out.absolute(),
            kept_as=kept_as,
            retry_failed=retry_failed,
        )
        token = current_control.set(control)
        try:
            with interruptible(control), _hushed():
                flow(**parameters)
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
    for advice in report.advice:
        say(str(advice))
    return INTERRUPTED if control.interrupted else int(report.exit_status)


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


def check_writable(out: Path) -> None:
    """Raises ConfigurationError where a results file cannot be written."""
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
