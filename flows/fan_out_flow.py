"""`fan_out`: a sub-agent for each item, as many at once as the governor lets through."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from prefect_governor.blocks.claims.task_slots import let_go
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.figures.figures import (
    RunFigures,
    at_once_notes,
    chain_figures,
    learned_notes,
    nominal_notes,
    run_figures,
)
from prefect_governor.blocks.figures.observing import enforcement_notes
from prefect_governor.blocks.limits.resources import cores
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.money.usd import Money
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.estimate.approval import checked_bars, known, turned_down
from prefect_governor.flows.estimate.estimate import cost_multiple, prompt_tokens
from prefect_governor.flows.estimate.history import question_key
from prefect_governor.flows.forms.fan_out import FAN_OUT
from prefect_governor.flows.forms.shape import shape
from prefect_governor.flows.handfuls.sizes import AUTO
from prefect_governor.flows.mcp.serving import Serving
from prefect_governor.flows.report.model import ItemReport, Report
from prefect_governor.flows.report.publish import leave, make_report
from prefect_governor.flows.run.advice import advised
from prefect_governor.flows.run.flow import in_thread, ready_flow, this_run
from prefect_governor.flows.run.item_files import ItemFiles
from prefect_governor.flows.run.job import (
    TAG,
    Job,
    current_job,
    make_request,
    runtime_for,
)
from prefect_governor.flows.run.log.run_log import RunLog
from prefect_governor.flows.run.outfile import OutFile, Sink
from prefect_governor.flows.run.watch import Watch
from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.shards.asked import Asked, asked_for, check_can_be_shared, core_notes
from prefect_governor.flows.shards.places import place_of, shard_of
from prefect_governor.flows.shards.planning import Part
from prefect_governor.flows.subagent.here import Place
from prefect_governor.flows.subagent.starting import check_handfuls
from prefect_governor.flows.subagent.subagent import prompts_of
from prefect_governor.flows.subagent.working import OFFLINE
from prefect_governor.flows.web.searching import SEARCH_LIMIT
from prefect_governor.flows.web.settings import NO_SEARCH
from prefect_governor.flows.web.web import Web


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
    items: Iterable[Any] | None = None,
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
    items_per_task: int | str = AUTO,
    processes: int | str | None = None,
    shards: int | None = None,
    deployment: str | None = None,
    max_cost_multiple: float | None = None,
    ask_above_usd: Money | None = None,
    accept: Sequence[str] = (),
    tools: Sequence[Any] = (),
    sandbox: str | None = None,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = "auto",
    search_usd: Money | None = None,
    mcp: Any = None,
    reading: Any = None,
    part_of: Any = None,
) -> Report:
    """Ask a sub-agent the same question about each item, under one budget and its limits.

    Args:
        items: texts, or objects with `key` and `text`; in Python also `pathlib.Path`s of files. An
            iterator is read as the run gets to its items, a few ahead, and once: what it gave is
            held while the item is under way, and such a run cannot be taken up again. With a bar on
            the cost it is read whole first.
        ask: what each sub-agent is to answer about its item.
        sources: files, folders and globs to read items from; rows of tables (.csv,
            .jsonl, .json lists, .xlsx, .ods, .parquet, .yaml) are an item each.
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
        items_per_task: how many items share a task run in Prefect, of which its server takes some
            50 a second. "auto": one each up to 200 items, then more and more, so that 10,000 items
            are some 600 task runs; one each wherever a limit counts task runs. All else stays by
            item.
        max_cost_multiple: refuse to start where the estimate is more than so many times what one
            agent costs that reads all of it in one go.
        ask_above_usd: a deployed run whose estimate (its p95, under what its budgets leave) is more
            than so much waits for a person to start it, up to a day. Never where it is None.
        accept: kinds of answers that are taken as they are, with a note, though they did not end
            well: "cut" (at `max_output_tokens`), "filtered", "refused". Else their items fail.
        tools: what each sub-agent may call: "python" and "shell" (programs in a sandbox), "read"
            and "search" (the files of its item), "web" (public pages, and searches where somebody
            searches); in Python also functions with type hints and a docstring (or
            "package.module:name"). With those on files each item has a workspace, and a folder is
            one item, with its files in it.
        sandbox: name of a saved Sandbox block for "python" and "shell", and for servers of `mcp`
            that are programs. Without one the default bounds.
        allow_hosts, deny_hosts, search, search_usd: of "web", as `research` has them.
        mcp: MCP servers whose tools each sub-agent may call, as `research` has them. Each item has
            sessions of its own with them: of a server that is a program, a program of its own.
        reading: how files are read, an object of any of `encoding` (of all text files, such as
            "cp1252"), `gitignore` (false: what it names is read too), `delimiter`, `text_column`,
            `key_column`, `as` ("text" or "rows") and `skip_bad_rows` (of tables).
        processes: how many processes of this machine share the run under its one ceiling, where
            one's core holds it back; "auto": one a core. Defaults to this process alone.
        shards: how many flow runs of `deployment` share it, on the workers of a work pool.
        deployment: "flow/deployment" of a `fan_out`, for `shards`.
        part_of: what a run gives its shards.

    Returns:
        Called, the `Report` of the run, complete or partial.

    Raises:
        ConfigurationError: before anything is spent; over `max_cost_multiple`, too, and over
            `ask_above_usd` in a run without a deployment, where nobody can be asked.
        RunFailed: nothing succeeded, or less than `min_success`; its `report` holds all of it.
    """
    most_multiple, ask_above = checked_bars(max_cost_multiple, ask_above_usd)
    shared = asked_for(shards=shards, deployment=deployment, processes=processes)
    part = Part.of(part_of)
    request = make_request(
        # Those of a shard come by its plan.
        items if part is None else iter(()),
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
        items_per_task=items_per_task,
        accept=accept,
        tools=tools,
        sandbox=sandbox,
        allow_hosts=allow_hosts,
        deny_hosts=deny_hosts,
        search=search,
        search_usd=search_usd,
        mcp=mcp,
        reading=reading,
    )
    if request.is_read_once and (most_multiple is not None or ask_above is not None):
        request = known(request)
    here = this_run("fan_out")
    if part is not None:
        here = part.join(here)
    if shared is not None:
        check_can_be_shared(request, tools)
    kit = request.kit
    searches = kit is not None and kit.searches
    runtime = runtime_for(request, here.kept_as, more=(SEARCH_LIMIT,) if searches else ())
    for tool in () if kit is None else kit.own:
        if tool.limit is not None:
            # Refused here by name, before anything is spent, where there is none.
            runtime.limit_named(tool.limit)
    serving = Serving() if kit is None else kit.mcp
    # Servers that cannot be had are told of before anything is spent.
    with scope(Scope(governor=runtime, tags=(TAG,), run_id=here.kept_as)):
        _ = serving.offers
    refused = turned_down(
        request,
        runtime,
        here.flow_run,
        kept_as=here.kept_as,
        max_cost_multiple=most_multiple,
        ask_above_usd=ask_above,
    )
    if refused is not None:
        return cast(Report, refused)
    # For the estimates of runs that ask the same.
    asked = question_key(request)
    runtime.desk.write(lambda batch: batch.rows.put_item(asked, here.kept_as, "", "{}"))
    kept = state_folder() / "runs" / here.id / "results.jsonl"
    results = here.control.out or kept
    files = ItemFiles(results if part is None else Path(part.plan.results))
    web = None
    if kit is not None and kit.web is not None:
        # A run that is gone on with has what it retrieved before.
        web = Web(kit.web, state_folder() / "runs" / here.kept_as / "web")
    prompts = prompts_of(request)
    job = Job(
        request, here.id, here.kept_as, runtime, here.control, files, prompts=prompts, web=web
    )
    check_handfuls(job)
    if part is None:
        # What of a shard is left where it dies is its run's to tell.
        here.started(
            "fan-out",
            request,
            results,
            items=[item.key for item in job.items],
            more=request.more is not None,
            resumable=not request.is_read_once,
        )
    log = RunLog()
    log.began(governor=governor, budgets=chain_figures(runtime, here.kept_as), model=request.model)
    token = current_job.set(job)
    try:
        with ExitStack() as stack:
            place: Place
            sink: Sink
            if part is not None:
                place, shard = shard_of(job, part)
                sink = stack.enter_context(shard)
            else:
                files.sweep()
                place = stack.enter_context(place_of(job, here, shared, results=results))
                out = OutFile(
                    results,
                    spare=kept,
                    told=here.control.told,
                    full=here.control.stop.set,
                    goes_on=results == kept or here.control.kept_as is not None,
                )
                sink = stack.enter_context(out)
            stack.enter_context(serving.open())
            stack.enter_context(let_go())
            report, left_by = _run(job, place, sink, shared, log)
            report = here.control.report = advised(
                report,
                command="fan-out",
                most_tokens=request.model.max_output_tokens,
            )
    finally:
        current_job.reset(token)
    log.ended(report)
    # Prefect gives the report of the state to whoever calls the flow.
    return cast(Report, leave(report, left_by=left_by))


shape(fan_out, FAN_OUT)
afan_out = in_thread(fan_out)


def _run(
    job: Job, place: Place, sink: Sink, shared: Asked | None, log: RunLog
) -> tuple[Report, BaseException | None]:
    """Have the items answered, and report; also of a run that is left by an order to end or an
    error, which is given too."""
    reports: dict[int, ItemReport] = {}

    def keep(ended: Mapping[int, ItemReport]) -> None:
        # Of a loop that was left and gone on with, some are told twice.
        ended = {at: report for at, report in ended.items() if at not in reports}
        if not ended:
            return
        reports.update(ended)
        sink.put(ended)
        for position, report in ended.items():
            watch.count(report.state)
            job.forget(position)

    def knows(kept: int) -> None:
        more = job.request.more is not None
        log.knows(job.total, left_out=job.left_out, kept=kept, more=more)

    with Watch(job, key_prefix="fan-out", log=log, limits=place.limits) as watch:
        left_by = place.run(keep, knows)
    items = [reports[at] for at in sorted(reports)]
    sink.finish(items)
    picture = watch.keep_picture(state_folder() / "runs" / job.run_id)
    limits = place.limits()
    report = make_report(
        items,
        skipped=job.skipped,
        run_id=job.run_id,
        min_success=job.request.min_success,
        stopped=job.control.interrupted,
        figures=RunFigures(
            {},
            run_figures(job.runtime, job.kept_as),
            limits,
            (
                *at_once_notes(limits),
                *enforcement_notes(job.runtime, job.kept_as),
                *place.notes(),
                *learned_notes(job.runtime),
                *nominal_notes(job.runtime, job.kept_as),
            ),
        ),
        cost_multiple=_cost_multiple(job, items),
        notes=[
            *_notes(job),
            *([] if shared is None else shared.notes()),
            *core_notes(limits.bottleneck, shared, here=cores()),
            *sink.notes,
        ],
        files=[
            *sink.files,
            *([str(job.files.folder)] if job.files.any else []),
            *([picture] if picture else []),
        ],
        # What an iterator gave is gone; answers that are kept elsewhere are found from there alone.
        resumable=not (job.request.is_read_once or job.control.answers_as),
        picture=picture,
    )
    if place.unread is None:
        return report, left_by
    reason = f"the items were read up to the {len(items):,}th: {place.unread}"
    if report.outcome == "complete":
        report = report.model_copy(update={"outcome": "partial", "reason": reason})
    return report.model_copy(update={"notes": [*report.notes, reason]}), left_by


def _notes(job: Job) -> list[str]:
    share = job.runtime.fallback_share
    notes = job.said
    if job.request.shape is not None:
        notes.extend(job.request.shape.notes)
    if (kit := job.request.kit) is not None:
        if is_offline(job.request.model.name):
            notes.append(OFFLINE)
        elif kit.web is not None and not kit.searches:
            notes.append(NO_SEARCH)
    if not job.fell_back or share is None:
        return notes
    calls = "1 call was" if job.fell_back == 1 else f"{job.fell_back:,} calls were"
    return [
        *notes,
        f"{calls} answered by a cheaper model than {job.request.model.name}: the budget was spent"
        f" to {share:.0%} and more",
    ]


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
