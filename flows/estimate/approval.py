"""A deployed run that waits for a person before it spends much."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.states import Cancelled
from pydantic import Field

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import Money, parse_usd
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.estimate.asking import check_multiple, question, surely_at_most
from prefect_governor.flows.estimate.estimate import forecast
from prefect_governor.flows.estimate.shown import forecast_lines
from prefect_governor.flows.estimate.standing import standing_in
from prefect_governor.flows.items.sources import items_from
from prefect_governor.flows.run.job import Request, check_most_multiple
from prefect_governor.flows.run.log.run_log import in_the_log

# How long a run waits for its answer, and how often it looks, in seconds.
ANSWER_SECONDS = 24 * 3600
LOOK_SECONDS = 2


class StartRun(RunInput):
    """What a person answers to a run that waits, in the form that Prefect's UI makes of it."""

    go_ahead: bool = Field(
        default=True,
        title="Start the run",
        description="Without it the run ends as cancelled, and has cost nothing.",
    )


def checked_bars(
    max_cost_multiple: float | None, ask_above_usd: Money | None
) -> tuple[float | None, Decimal | None]:
    """Both as they are compared with. Raises ConfigurationError."""
    check_most_multiple(max_cost_multiple)
    above = None if ask_above_usd is None else parse_usd(ask_above_usd, name="ask_above_usd")
    return max_cost_multiple, above


def known(request: Request) -> Request:
    """A request whose iterator is read to its end, so that it can be estimated. Raises
    ConfigurationError."""
    skipped, said = list(request.skipped), list(request.said)
    rest = items_from(
        request.more or (),
        whole_folders=request.whole_folders,
        skipped=skipped,
        reading=request.reading,
        said=said,
    )
    return replace(
        request,
        items=(*request.items, *rest),
        skipped=tuple(skipped),
        said=tuple(said),
        more=None,
    )


def turned_down(
    request: Request,
    runtime: Runtime,
    flow_run: FlowRun,
    *,
    kept_as: str,
    max_cost_multiple: float | None,
    ask_above_usd: Decimal | None,
) -> "State[Any] | None":
    """Hold a run that has spent nothing against its bars; None where it may start.

    A deployed run that may well cost more than `ask_above_usd` pauses until a person answers (on
    its page, or with Prefect's `resume_flow_run`); one that is turned down gives the state to end
    in. A run that is taken up again was asked about when it first began.

    Raises ConfigurationError over `max_cost_multiple`, and over `ask_above_usd` where no deployment
    lets anybody answer; Prefect's FlowPauseTimeout where nobody did within a day.
    """
    if max_cost_multiple is None and ask_above_usd is None:
        return None
    if runtime.desk.store.read_spend("run_id", {"run_id": kept_as}):
        return None
    standing = standing_in(runtime, request)
    if max_cost_multiple is None and surely_at_most(request, standing, ask_above_usd or Decimal(0)):
        return None
    expected = forecast(request, standing)
    check_multiple(expected, max_cost_multiple)
    if ask_above_usd is None or expected.at_stake_usd <= ask_above_usd:
        return None
    what = question(expected, ask_above_usd)
    if flow_run.deployment_id is None:
        raise ConfigurationError(
            f"{what} A run without a deployment cannot wait for a person: raise ask_above_usd or"
            " leave it out"
        )
    in_the_log()(f"paused for approval: {what} Resume on this page asks; it waits for a day")
    lines = "\n".join(f"- {line}" for line in forecast_lines(expected))
    answer = pause_flow_run(
        wait_for_input=StartRun.with_initial_data(description=f"{what}\n\n{lines}"),
        timeout=ANSWER_SECONDS,
        poll_interval=LOOK_SECONDS,
        # One question for each time that the run begins.
        key=f"estimate-{flow_run.run_count}",
    )
    if answer.go_ahead:
        return None
    return Cancelled(message=f"turned down before it began, at no cost: {what}")
