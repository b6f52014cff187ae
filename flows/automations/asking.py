"""The flow that asks a person whether a spent budget is to be raised, and does by the answer."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import Field

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import parse_usd, show_usd, to_nano
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.flows.automations.turns import one_at_a_time
from prefect_governor.flows.cli.budget.change import apply_change, plan_change
from prefect_governor.flows.cli.budget.view import open_source, read_view
from prefect_governor.flows.forms.automations import ASK
from prefect_governor.flows.forms.shape import shape

# How long a question stands, in seconds, and how often an answer that is none is asked anew.
ANSWER_SECONDS = 24 * 3600
MOST_QUESTIONS = 5

LEFT = "Left"
_ALREADY = "AskedAlready"
_KEY = "raise-"


class RaiseCeiling(RunInput):
    """What a person answers, in the form that Prefect's UI makes of it."""

    ceiling_usd: str = Field(
        default="",
        title="New ceiling in USD",
        description="Such as 7.50, or +2.50 for so much more. Empty: it stays as it is.",
        json_schema_extra={"examples": ["+2.50"]},
    )
    reason: str = Field(default="", title="Reason", description="Kept in the budget's audit.")


@flow(name="ask-to-raise")
def ask_to_raise(budget: str, at_most_usd: str | None = None) -> "State[Any]":
    """Ask a person whether a budget that refuses calls is to be raised, and raise it by the answer.

    The run is suspended until it is answered on its page (Resume), up to a day, and holds no worker
    meanwhile. It asks once: not while another run of its deployment waits for an answer, nor again
    in a window for which the answer was to leave the ceiling as it is.

    Args:
        budget: name of a saved Budget, or of a Governor with a budget of its own.
        at_most_usd: the highest ceiling that an answer may set. None: any.
    """
    most = None if at_most_usd is None else parse_usd(at_most_usd, name="at_most_usd")
    state = read_view(open_source(budget)).chain[0].state
    check_can_be_answered(budget, state.ceiling_nano)
    here = _this_run()
    # Suspended, it has asked, and the next one sees that.
    with one_at_a_time("ask-to-raise"):
        return _asked(budget, state, most, here)


shape(ask_to_raise, ASK)


def _asked(budget: str, state: AccountState, most: Decimal | None, here: FlowRun) -> "State[Any]":
    question = f"{budget} {state.window or 'now'}"
    if (other := _asked_already(here, question)) is not None:
        return Completed(name=_ALREADY, message=f"{other.name}: {_answer_of(other)}")
    problem = ""
    # The newest answer alone is heard: what was not taken before may be possible by now.
    for count in range(newest_question(here.empirical_policy.pause_keys), MOST_QUESTIONS):
        answer = suspend_flow_run(
            wait_for_input=RaiseCeiling.with_initial_data(
                description="\n\n".join(filter(None, (problem, _question(budget, state, most))))
            ),
            timeout=ANSWER_SECONDS,
            key=f"{_KEY}{count}",
        )
        if not answer.ceiling_usd.strip():
            return Completed(name=LEFT, message=f"{budget} stays at {_ceiling(state)}")
        try:
            change = plan_change("raise", budget, answer.ceiling_usd, tokens=None)
            if most is not None and to_nano(change.after.max_usd or 0) > to_nano(most):
                raise ConfigurationError(
                    f"{change.after.max_usd} USD is more than the {show_usd(to_nano(most))} that"
                    " an answer may set"
                )
            after = apply_change(change, reason=answer.reason or f"answered in run {here.name}")
        except ConfigurationError as error:
            problem = f"**{answer.ceiling_usd!r} was not taken:** {error}"
            continue
        return Completed(
            name="Raised",
            message=f"{budget} from {_ceiling(state)} to {_ceiling(after.chain[0].state)}",
        )
    return Completed(name=LEFT, message=f"{budget} stays at {_ceiling(state)}: {problem}")


def check_can_be_answered(budget: str, ceiling_nano: int | None) -> None:
    """Raises ConfigurationError where no answer in USD could raise anything."""
    if ceiling_nano is None:
        raise ConfigurationError(
            f"{budget} has no ceiling in USD, so no answer in USD could raise it: raise its tokens"
            f" with `prefect-governor budget raise {budget} --tokens N`"
        )


def newest_question(asked: Collection[str] | None) -> int:
    """Which question a run goes on with, from 0, of the keys that it was suspended under."""
    return max(0, sum(key.startswith(_KEY) for key in asked or ()) - 1)


def _this_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def _asked_already(here: FlowRun, question: str) -> FlowRun | None:
    """Another run that asks the same, or was told to leave it; this one is named by it else."""
    # One that goes on with its answer has asked already, and is heard.
    if here.deployment_id is None or here.empirical_policy.pause_keys:
        return None
    with get_client(sync_client=True) as client:
        others = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[here.deployment_id]),
                name=FlowRunFilterName(any_=[question]),
            )
        )
        for each in others:
            if each.id != here.id and each.state is not None and _stands(each):
                return each
        client.update_flow_run(here.id, name=question)
    return None


def _stands(run: FlowRun) -> bool:
    assert run.state is not None
    return run.state.type == StateType.PAUSED or run.state.name == LEFT


def _answer_of(run: FlowRun) -> str:
    assert run.state is not None
    return run.state.message or "waits for an answer on its page"


def _question(budget: str, state: AccountState, most: Decimal | None) -> str:
    gone = f"{show_usd(state.spent_nano + state.unconfirmed_nano)} of {_ceiling(state)}"
    tokens = ""
    if state.ceiling_tokens is not None:
        gone += f" and {state.spent_tokens + state.unconfirmed_tokens:,} of"
        gone += f" {state.ceiling_tokens:,} tokens"
        tokens = f" Its tokens are raised by `prefect-governor budget raise {budget} --tokens N`."
    window = f" in {state.window}" if state.window not in ("", "total") else ""
    limit = "" if most is None else f" An answer may set at most {show_usd(to_nano(most))}."
    return (
        f"The budget **{budget}** refuses calls: {gone} are spent or"
        f" unconfirmed{window}. What waits for money goes on within 5 s of a raise.{tokens}{limit}"
    )


def _ceiling(state: AccountState) -> str:
    return "no ceiling in USD" if state.ceiling_nano is None else show_usd(state.ceiling_nano)
