"""From the states of an existing flow to a published report and the state to return.

One path for everybody: items -> `conclude` (the Prefect state) with `finish` (artifacts, then the
state). `fan_out` makes its items itself and calls `finish`; `publish_report` reads them off states.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Crashed, Failed

from prefect_governor.blocks.errors import RunFailed
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.prefect_internals.states import retries_left
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.work.registry import publish_soon
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.publications.attempt import this_attempt
from prefect_governor.flows.report.artifacts import artifacts_of
from prefect_governor.flows.report.figures import Figures, ItemSpend, context_figures
from prefect_governor.flows.report.keys import artifact_key, item_keys
from prefect_governor.flows.report.model import (
    BudgetReport,
    ItemReport,
    LimitsReport,
    Report,
    Tokens,
    check_min_success,
    outcome_of,
    tally,
)
from prefect_governor.flows.report.progress import last_word
from prefect_governor.flows.report.reasons import first_cause, one_line
from prefect_governor.flows.report.runs import RunFacts, read_runs
from prefect_governor.flows.report.states import (
    Ending,
    name_upstream,
    named_leaves,
    read_endings,
)

NONE_PASSED = (
    "if they made any, by a sub-process, gRPC or outside its scope, what they cost is not in these"
    " figures (`prefect-governor doctor` looks for what sends so)"
)
UNTOLD = "the process ended before Prefect was told how"
UNGOVERNED = "no governor was in reach, so money, tokens and calls are not known"


def publish_report(
    states: Any,
    *,
    min_success: float = 0.0,
    keys: Sequence[str] | None = None,
    figures: Figures | None = None,
    files: Sequence[str] = (),
) -> "State[Any]":
    """Publish what became of every item, and return the state that the flow is to return.

    Artifacts are made where a flow run is; without one, the state is all. In async code it blocks
    the loop meanwhile: use `apublish_report` (of `prefect_governor.flows.report.publish`) there.

    Args:
        states: whatever `.map(...)` gave: states, futures (waited for), exceptions and values, in
            lists nested to any depth; mappings and sets of states, futures and exceptions too.
        min_success: the share of items (0 to 1) that must succeed.
        keys: names the items, in order. Default: the keys of `states` where it is a mapping, else
            `item-0001`, `item-0002`, …
        figures: the ledger's. Default: those of the governor of the context.
        files: where the whole report is kept.

    Returns:
        `Completed` (complete), `Completed` named "Partial", or `Failed`, whose data is a
        `RunFailed`. Calling a flow that returns it gives the `Report`, or raises `RunFailed`.

    Raises:
        ConfigurationError: `min_success` is outside 0 to 1; before anything is waited for.
        RunFailed: the run failed and its flow has `retries=` left: Prefect retries a flow that
            raises.
    """
    check_min_success(min_success)
    published = apublish_report(
        states, min_success=min_success, keys=keys, figures=figures, files=files
    )
    return result_of(published)


async def apublish_report(
    states: Any,
    *,
    min_success: float = 0.0,
    keys: Sequence[str] | None = None,
    figures: Figures | None = None,
    files: Sequence[str] = (),
) -> "State[Any]":
    """`publish_report` for async code."""
    check_min_success(min_success)
    named = list(named_leaves(states))
    endings = await read_endings([leaf for _, leaf in named])
    if keys is None and any(name is not None for name, _ in named):
        keys = [name or "" for name, _ in named]
    ran = [each.task_run_id for each in endings if each.started and each.task_run_id]
    # Outside a flow run there may be no API to ask.
    facts = await read_runs(ran) if _flow_run_id() is not None else {}
    figures = context_figures() if figures is None else figures
    items, notes = _items(endings, facts, keys, figures)
    notes += none_passed(items, figures)
    report = make_report(items, min_success=min_success, figures=figures, notes=notes, files=files)
    return await finish(report)


def none_passed(items: Sequence[ItemReport], figures: Figures | None) -> list[str]:
    """A line for a run whose items succeeded without a model call, or anything else that was
    reserved, under a governor that is for calls: its sums of nothing are no proof."""
    ran = [each for each in items if each.state == "succeeded" and each.attempts]
    if figures is None or not figures.expects_calls or not ran or any(each.calls for each in items):
        return []
    count = f"{len(items):,} item{'s' * (len(items) != 1)}"
    return [f"no model call of {count} passed the governor: {NONE_PASSED}"]


def make_report(
    items: Sequence[ItemReport],
    *,
    skipped: Sequence[Skipped] = (),
    run_id: str | None = None,
    min_success: float = 0.0,
    stopped: bool = False,
    cost_multiple: float | None = None,
    figures: Figures | None = None,
    notes: Sequence[str] = (),
    files: Sequence[str] = (),
    resumable: bool = False,
    picture: str | None = None,
) -> Report:
    """The report of these items, in their order: the outcome and its reason, the ledger's figures.

    `run_id` defaults to the flow run's id. `stopped` says that the run was told to stop: it is
    then partial, whatever `min_success` says. Raises ConfigurationError as `outcome_of` does.
    """
    outcome = outcome_of([each.state for each in items], min_success=min_success, stopped=stopped)
    flow_run_id = _flow_run_id()
    found = [UNGOVERNED] if figures is None else list(figures.notes)
    budget = _budget(figures, items)
    if budget.statement is not None:
        publish_soon(budget.statement)
    return Report(
        run_id=run_id or str(flow_run_id or uuid4()),
        outcome=outcome,
        reason=None if outcome == "complete" else _reason(items, min_success, stopped),
        cost_multiple=cost_multiple,
        items=list(items),
        skipped=list(skipped),
        budget=budget,
        limits=LimitsReport()
        if figures is None
        else LimitsReport.model_validate(figures.limits, from_attributes=True),
        notes=[*found, *notes],
        files=list(files),
        resumable=resumable,
        picture=picture,
    )


async def finish(
    report: Report,
    *,
    key_prefix: str | None = None,
    left_by: BaseException | None = None,
    more: Sequence[ArtifactCreate] = (),
) -> "State[Any]":
    """Publish the report's artifacts on the flow run of the context, and return `conclude`'s state.
    What the run was left by, an order to end or an error, is raised by `leave`.

    `key_prefix` begins the artifacts' keys, by default the flow's name; `more` are artifacts of the
    run that go before the report's.

    Raises RunFailed in place of returning `Failed` where the flow has `retries=` left: Prefect
    retries a flow that raises, and before 3.9 leaves one that returns `Failed` in AwaitingRetry for
    ever.
    """
    state = conclude(report)
    again = isinstance(state.data, RunFailed) and retries_left()
    ends = left_by is None and not again
    # Its engine says how it ended, where it gets to it.
    said = state if ends else Crashed(message=f"{UNTOLD}: {state.message}")
    ordered = left_by is not None and not isinstance(left_by, Exception)
    await publish(report, key_prefix=key_prefix, state=said, more=more, ordered=ordered)
    if left_by is None and isinstance(state.data, RunFailed) and again:
        raise state.data
    return state


def leave(
    report: Report, *, left_by: BaseException | None, more: Sequence[ArtifactCreate] = ()
) -> "State[Any]":
    """`finish` of a flow's own code, from a thread without a loop; raises what the run was left by.

    Not in the coroutine: an order to end would end the loop that it runs on, Prefect's own, and no
    state would reach the server.
    """
    state: State[Any] = result_of(finish(report, left_by=left_by, more=more))
    if left_by is not None:
        raise left_by
    return state


async def publish(
    report: Report,
    *,
    key_prefix: str | None = None,
    state: "State[Any]",
    more: Sequence[ArtifactCreate] = (),
    ordered: bool = False,
) -> None:
    """`more` and the report's artifacts on the flow run of the context, if there is one, what was
    not there.

    Where Prefect's server does not answer they are kept, with the state to end the run in where its
    engine cannot say so, and written when it is back: by this process within half a minute, unless
    it was told to end (`ordered`).
    """
    context, attempt = FlowRunContext.get(), this_attempt()
    if context is None or context.flow_run is None or attempt is None:
        return
    prefix, run_id = artifact_key(key_prefix or _flow_name()), context.flow_run.id
    made = artifacts_of(
        report, key_prefix=prefix, flow_run_id=run_id, attempt=context.flow_run.run_count
    )
    progress = [last_word(report, key_prefix=prefix, flow_run_id=run_id)]
    told = progress if attempt.has_begun and report.items else []
    await attempt.publish([*told, *more, *made], state=state, files=report.files, ordered=ordered)
    if not hasattr(context.task_runner, "when_left"):
        # Nobody says when it is left: what is not written by now is for the next.
        attempt.given_up()


def conclude(report: Report) -> "State[Any]":
    """The Prefect state that says what the report says; pure."""
    message = headline(report)
    if report.outcome == "failed":
        # Prefect raises a failed state's data, so it must be an exception.
        return Failed(message=message, data=RunFailed(message, report))
    if report.outcome == "partial":
        return Completed(name="Partial", message=message, data=report)
    return Completed(message=message, data=report)


def headline(report: Report) -> str:
    """The outcome in one line: counts, the first reason, the money."""
    money = report.spending()
    reason = one_line(report.reason or tally(report.items), longest=500 - len(money) - 3)
    return f"{reason} · {money}"


def _reason(items: Sequence[ItemReport], min_success: float, stopped: bool) -> str:
    parts = ["stopped early: "] if stopped else []
    parts.append(tally(items))
    succeeded = sum(item.state == "succeeded" for item in items)
    if min_success and items and succeeded / len(items) < min_success:
        parts.append(f", less than the {min_success:.0%} asked for")
    cause = first_cause(items)
    if cause is not None:
        parts.append(f"; {cause.reason}")
        if cause.count > 1:
            parts.append(f" ({cause.count} items)")
    return one_line("".join(parts), longest=500)


def _items(
    endings: Sequence[Ending],
    facts: dict[str, RunFacts],
    keys: Sequence[str] | None,
    figures: Figures | None,
) -> tuple[list[ItemReport], list[str]]:
    runs = [facts.get(each.task_run_id or "") for each in endings]
    made, notes = item_keys(len(endings), keys)
    names = {
        each.task_run_id: key
        for each, key in zip(endings, made, strict=True)
        if each.task_run_id is not None
    }
    spends = {} if figures is None else figures.items
    items = [
        _item(ending, key, fact, spends.get(ending.task_run_id or ""))
        for ending, key, fact in zip(name_upstream(endings, names), made, runs, strict=True)
    ]
    return items, notes


def _item(ending: Ending, key: str, fact: RunFacts | None, spend: ItemSpend | None) -> ItemReport:
    attempts = 1 if ending.started else 0
    return ItemReport(
        key=key,
        state=ending.state,
        reason=ending.reason,
        result=ending.result,
        usd=to_usd(spend.usd_nano) if spend else Decimal(0),
        tokens=Tokens(input=spend.input_tokens, output=spend.output_tokens) if spend else Tokens(),
        calls=spend.calls if spend else 0,
        # The API may be behind; what ran did so at least once.
        attempts=max(attempts, fact.attempts) if fact else attempts,
        seconds=fact.seconds if fact else None,
    )


def _budget(figures: Figures | None, items: Sequence[ItemReport]) -> BudgetReport:
    if figures is None:
        return BudgetReport(spent_usd=sum((item.usd for item in items), Decimal(0)))
    return BudgetReport.model_validate(figures.budget, from_attributes=True)


def _flow_run_id() -> UUID | None:
    context = FlowRunContext.get()
    return context.flow_run.id if context is not None and context.flow_run is not None else None


def _flow_name() -> str:
    context = FlowRunContext.get()
    flow = context.flow if context is not None else None
    return flow.name if flow is not None else "report"
