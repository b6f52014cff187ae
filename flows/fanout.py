"""`fan_out`: a sub-agent for each item, as many at once as the governor lets through."""

import asyncio
import functools
import json
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, ParamSpec, cast

from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.utilities.asyncutils import run_coro_as_sync

from prefect_governor.blocks.budget.money import Money, to_usd
from prefect_governor.blocks.errors import ConfigurationError, ItemFailed, RunStopped
from prefect_governor.blocks.figures import (
    ItemFigures,
    LimitFigures,
    RunFigures,
    budget_figures,
    item_figures,
    learned_notes,
    limit_figures,
)
from prefect_governor.blocks.home import state_folder
from prefect_governor.blocks.observing import enforcement_notes
from prefect_governor.blocks.wire.retries import retry_notes
from prefect_governor.flows.control import Control, current_control
from prefect_governor.flows.estimate import cost_multiple, prompt_tokens
from prefect_governor.flows.estimating.approval import checked_bars, turned_down
from prefect_governor.flows.estimating.history import question_key
from prefect_governor.flows.flow import ready_flow
from prefect_governor.flows.job import TAG, Job, current_job, make_request, runtime_for
from prefect_governor.flows.outfile import OutFile
from prefect_governor.flows.report.model import ItemReport, Report, Tokens
from prefect_governor.flows.report.publish import finish, make_report
from prefect_governor.flows.report.states import Ending, read_endings
from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.sources import read_text
from prefect_governor.flows.subagent import sub_agent
from prefect_governor.flows.watch import Watch
from prefect_governor.flows.window import Window

P = ParamSpec("P")

# How long calls that are cancelled may take to say so, in seconds.
_ABORT_SECONDS = 5.0


@ready_flow(
    name="fan-out",
    task_runner=GovernedTaskRunner(),
    # Prefect refuses to retry a completed run whose result is persisted; a partial one must be
    # retryable from the UI. What finished is kept by the ledger.
    persist_result=False,
    # `make_request` checks all of them, with messages that say what to do.
    validate_parameters=False,
)
def fan_out(
    items: list[Any] | None = None,
    *,
    ask: str,
    sources: list[str] | None = None,
    folder: str | None = None,
    schema: Any = None,
    governor: str | None = None,
    model: str = "auto",
    max_usd: Money | None = None,
    max_total_tokens: int | None = None,
    max_output_tokens: int | None = None,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    min_success: float = 0.0,
    max_cost_multiple: float | None = None,
    ask_above_usd: Money | None = None,
) -> Report:
    """Ask a sub-agent the same question about each item, under one budget and its limits.

    Args:
        items: texts, or objects with `key` and `text`; in Python also `pathlib.Path`s of files.
        ask: what each sub-agent is to answer about its item.
        sources: files, folders and globs to read items from; rows of .jsonl, .csv and .yaml files
            are an item each.
        folder: what `sources` are relative to. Defaults to the working directory.
        schema: a JSON schema that each answer must validate against; in Python also a pydantic
            model.
        governor: name of a saved Governor block. Without one the run has a ceiling of its own.
        model: LiteLLM's name, "block:NAME" for a Model block, or "auto".
        max_usd: ceiling of this run, under the governor's; $1.00 where there is no governor.
        max_total_tokens: ceiling of this run in tokens, input and output together.
        max_output_tokens: the most one answer may have. Defaults to the Model block's, or 1,024.
        max_concurrent: calls in flight at once in this run; 20 where there is no governor.
        requests_per_minute: requests of this run in any minute.
        tokens_per_minute: tokens of this run in any minute.
        timeout_seconds: how long one request may take, once it was sent. Defaults to the Model
            block's, or 120.
        min_success: the share of items (0 to 1) that must succeed for the run not to fail.
        max_cost_multiple: refuse to start where the estimate is more than so many times what one
            agent costs that reads all of it in one go.
        ask_above_usd: a deployed run whose estimate (its p95, under what its budgets leave) is more
            than so much waits for a person to start it, up to a day. Never where it is None.

    Returns:
        Called, the `Report` of the run, complete or partial.

    Raises:
        ConfigurationError: before anything is spent; over `max_cost_multiple`, too, and over
            `ask_above_usd` in a run without a deployment, where nobody can be asked.
        RunFailed: nothing succeeded, or less than `min_success`; its `report` holds all of it.
    """
    most_multiple, ask_above = checked_bars(max_cost_multiple, ask_above_usd)
    request = make_request(
        items,
        ask=ask,
        sources=sources,
        folder=folder,
        schema=schema,
        governor=governor,
        model=model,
        max_usd=max_usd,
        max_total_tokens=max_total_tokens,
        max_output_tokens=max_output_tokens,
        max_concurrent=max_concurrent,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        timeout_seconds=timeout_seconds,
        min_success=min_success,
    )
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ConfigurationError("fan_out is a flow: call it, not its function")
    run_id = str(context.flow_run.id)
    control = current_control.get() or Control()
    # A flow that is run again makes its subflows anew, under the same task runs of its own: what
    # these paid for is kept under that name.
    kept_as = control.kept_as or str(context.flow_run.parent_task_run_id or run_id)
    runtime = runtime_for(request, kept_as)
    refused = turned_down(
        request,
        runtime,
        context.flow_run,
        kept_as=kept_as,
        max_cost_multiple=most_multiple,
        ask_above_usd=ask_above,
    )
    if refused is not None:
        return cast(Report, refused)
    # For the estimates of runs that ask the same.
    runtime.desk.write(lambda batch: batch.rows.put_item(question_key(request), kept_as, "", "{}"))
    job = Job(request, run_id, kept_as, runtime, control)
    if control.started is not None:
        control.started(run_id)
    token = current_job.set(job)
    try:
        with OutFile(control.out or state_folder() / "runs" / run_id / "results.jsonl") as out:
            report = control.report = _run(job, out)
    finally:
        current_job.reset(token)
    # Prefect gives the report of the state to whoever calls the flow.
    return cast(Report, run_coro_as_sync(finish(report)))


def in_thread(function: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Report]]:
    """A ready flow for async code: it runs in a thread, and is told to stop where its caller is
    cancelled."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> Report:
        control = current_control.get() or Control()
        token = current_control.set(control)
        try:
            return cast(Report, await asyncio.to_thread(function, *args, **kwargs))
        except asyncio.CancelledError:
            # The thread goes on until what is in flight has ended; it starts nothing more.
            control.stop.set()
            raise
        finally:
            current_control.reset(token)

    return call


afan_out = in_thread(fan_out)


def _run(job: Job, out: OutFile) -> Report:
    """Map the sub-agent over the items, a window at a time, and report."""
    reports: list[ItemReport | None] = [None] * len(job.request.items)

    def keep(position: int, report: ItemReport) -> None:
        reports[position] = report
        out.add(report)
        watch.count(report.state == "succeeded")

    with Watch(job, key_prefix="fan-out") as watch:
        kept = _finished_before(job)
        for position, report in kept.items():
            keep(position, report)
        missing = [at for at in range(len(job.request.items)) if at not in kept]
        cap = _limits(job).cap
        job.first = min(cap or 0, len(missing))
        window = Window(missing, cap=cap)
        stopped = False
        while True:
            if not stopped and job.control.stop.is_set():
                stopped = True
                _refuse_waiting(job)
            if batch := window.next_batch(stopped=stopped):
                _start(batch, job, window)
            if not window.running:
                break
            for position, future in window.wait():
                keep(position, _item_report(job, position, future))
            if job.control.abort.is_set():
                _cancel_all()
                for position, future in window.drain(_ABORT_SECONDS):
                    keep(position, _item_report(job, position, future))
                break
        for position in window.rest():
            keep(position, _not_started(job, position))
    items = [report for report in reports if report is not None]
    out.finish(items)
    return make_report(
        items,
        run_id=job.run_id,
        min_success=job.request.min_success,
        stopped=job.control.interrupted,
        figures=RunFigures(
            {},
            budget_figures(job.runtime, job.kept_as),
            _limits(job),
            (
                *enforcement_notes(job.runtime, job.kept_as),
                *retry_notes(job.kept_as),
                *learned_notes(job.runtime),
            ),
        ),
        cost_multiple=_cost_multiple(job, items),
        notes=_notes(job),
        files=[str(out.path)],
        resumable=True,
    )


def _notes(job: Job) -> list[str]:
    share = job.runtime.fallback_share
    if not job.fell_back or share is None:
        return []
    calls = "1 call was" if job.fell_back == 1 else f"{job.fell_back:,} calls were"
    return [
        f"{calls} answered by a cheaper model than {job.request.model.name}: the budget was spent"
        f" to {share:.0%} and more"
    ]


def _limits(job: Job) -> LimitFigures:
    return limit_figures(job.runtime, job.kept_as, tags=(TAG,), models=job.request.model.names)


def _cost_multiple(job: Job, items: list[ItemReport]) -> float | None:
    """What was spent, as a multiple of one agent reading the same in one go."""
    price = job.request.model.price_of(job.request.model.name)
    calls = sum(item.calls for item in items)
    if price is None or not calls:
        return None
    return cost_multiple(
        price,
        input_tokens=sum(item.tokens.input for item in items),
        output_tokens=sum(item.tokens.output for item in items),
        calls=calls,
        prompt_tokens=prompt_tokens(job.request),
    )


def _refuse_waiting(job: Job) -> None:
    """Calls that are not admitted yet have not started: a stop is for them too."""
    job.runtime.desk.refuse_waiting(job.kept_as, RunStopped(_stop_reason(job))).result()


def _stop_reason(job: Job) -> str:
    return job.control.reason or "the run was stopped before this item began"


def _cancel_all() -> None:
    context = FlowRunContext.get()
    if context is not None and isinstance(context.task_runner, GovernedTaskRunner):
        context.task_runner.cancel_all()


def _start(batch: list[int], job: Job, window: Window) -> None:
    futures = sub_agent.map(
        key=[job.request.items[position].key for position in batch], position=batch
    )
    for position, future in zip(batch, futures, strict=True):
        window.started(position, future)


def _item_report(job: Job, position: int, future: "PrefectFuture[Any]") -> ItemReport:
    key = job.request.items[position].key
    endings = cast("list[Ending]", run_coro_as_sync(read_endings([future.state])))
    (ending,) = endings
    figures = item_figures(job.runtime, "item", {"run_id": job.kept_as}, [key]).get(key)
    began = job.began.get(key)
    reason = ending.reason or job.notes.get(key)
    if job.control.abort.is_set() and ending.state != "succeeded":
        if figures is None:
            return _not_started(job, position)
        reason = "cancelled in flight; what it may have cost stays charged as unconfirmed"
    return ItemReport(
        key=key,
        state=ending.state if ending.state != "not_started" or figures is None else "failed",
        reason=reason,
        result=ending.result,
        **_spent(figures),
        attempts=job.attempts.get(key, 0),
        seconds=None if began is None else _seconds(job, key, began),
    )


def _seconds(job: Job, key: str, began: float) -> float:
    """How long an item took, without its time in the queue."""
    return round(max(0.0, time.monotonic() - began - job.waited.get(key, 0.0)), 3)


def _finished_before(job: Job) -> dict[int, ItemReport]:
    """Items that an earlier attempt of this run has paid for, if their inputs are the same."""
    records = job.runtime.desk.store.read_items(job.kept_as)
    if not records:
        return {}
    known = {key for key, _ in records}
    spent = item_figures(job.runtime, "item", {"run_id": job.kept_as})
    kept = {}
    for position, item in enumerate(job.request.items):
        if item.key not in known:
            continue
        try:
            record = records.get((item.key, job.input_hash(read_text(item).text)))
        except ItemFailed:
            continue
        if record is not None:
            found = json.loads(record)
            kept[position] = ItemReport(
                key=item.key,
                state="succeeded",
                reason=found["note"],
                result=found["result"],
                **_spent(spent.get(item.key)),
                attempts=1,
            )
    return kept


def _not_started(job: Job, position: int) -> ItemReport:
    key = job.request.items[position].key
    return ItemReport(key=key, state="not_started", reason=_stop_reason(job))


def _spent(figures: ItemFigures | None) -> dict[str, Any]:
    if figures is None:
        return {"usd": Decimal(0), "tokens": Tokens(), "calls": 0}
    return {
        "usd": to_usd(figures.usd_nano),
        "tokens": Tokens(input=figures.input_tokens, output=figures.output_tokens),
        "calls": figures.calls,
    }
