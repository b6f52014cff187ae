"""The flow that holds deployments back while a budget is nearly spent, and lets them run again."""

from typing import Any

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.automations.decision import (
    Held,
    Step,
    held_tag,
    next_step,
    share_gone,
)
from prefect_governor.flows.automations.turns import one_at_a_time
from prefect_governor.flows.cli.budget.view import open_source, read_view
from prefect_governor.flows.forms.automations import HOLD
from prefect_governor.flows.forms.shape import shape

_DONE: dict[Step, str] = {
    "hold": "paused",
    "release": "runs again",
    "forget": "no longer held by this budget",
    "leave": "left as it is",
}


@flow(name="hold-deployments")
def hold_deployments(budget: str, deployments: list[str], at: int = 80) -> "State[Any]":
    """Pause deployments while `at` percent of a budget are spent or unconfirmed, else let those run
    again that this has paused.

    Running it twice does what running it once does: an Automation runs it when the share is
    reached and when the ceiling is changed, a schedule when the next window opens.

    Args:
        budget: name of a saved Budget, or of a Governor with a budget of its own.
        deployments: of which each is "flow/deployment".
        at: percent of the ceiling.
    """
    logger = get_run_logger()
    state = read_view(open_source(budget)).chain[0].state
    said, missing = [], []
    share = share_gone(state)
    # The tags of a deployment are one list: budgets whose windows open in the same minute would
    # write over each other's.
    with one_at_a_time("hold-deployments"), get_client(sync_client=True) as client:
        for name in deployments:
            try:
                step = bring(client, name, budget, share=share, at=at)
            except ObjectNotFound:
                missing.append(name)
                continue
            said.append(f"{name} {_DONE[step]}")
            logger.info("%s: %s", name, _DONE[step])
    message = f"{budget} is spent to {share}%: {', '.join(said) or 'nothing to hold'}"
    if missing:
        there = [name for name in deployments if name not in missing]
        again = f"prefect-governor automate hold {budget} {' '.join(there)} --at {at}"
        mend = f"`{again}`" if there else "delete the Automations that run this"
        message = f"{message}; no deployment is named {', '.join(missing)}: {mend}"
        return Failed(message=message, data=ConfigurationError(message))
    return Completed(message=message)


shape(hold_deployments, HOLD)


def bring(client: SyncPrefectClient, name: str, budget: str, *, share: int, at: int) -> Step:
    """Do with one deployment what its `next_step` is. Raises ObjectNotFound."""
    found = client.read_deployment_by_name(name)
    step = next_step(Held(found.paused, tuple(found.tags)), budget, share=share, at=at)
    if step == "leave":
        return step
    tags = [tag for tag in found.tags if tag != held_tag(budget)]
    if step == "hold":
        # The tag first: what is paused without it would be taken for a person's.
        tags.append(held_tag(budget))
    if step == "release":
        # And last: a tag on what runs already is taken off the next time.
        client.resume_deployment(found.id)
    client.update_deployment(found.id, DeploymentUpdate(tags=tags))
    if step == "hold":
        client.pause_deployment(found.id)
    return step
