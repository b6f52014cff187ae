"""Starts the shards of a run as flow runs of a deployment, for the workers of its work pool."""

import time
from contextlib import suppress
from typing import cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Crashed

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.shards.plan import Plan
from prefect_governor.flows.shards.planning import parameters_of

# How often Prefect's server is asked what became of a flow run, in seconds.
ASK_SECONDS = 2.0


class DeployedShard:
    """See `launching.Launched`."""

    def __init__(self, flow_run_id: UUID) -> None:
        self.flow_run_id = flow_run_id
        self._how: str | None = None
        self._asked = time.monotonic()

    def ended(self) -> str | None:
        if self._how is None and time.monotonic() - self._asked >= ASK_SECONDS:
            self._asked = time.monotonic()
            # A server that is away has ended nothing.
            with suppress(Exception), get_client(sync_client=True) as client:
                self._how = how_ended(client.read_flow_run(self.flow_run_id).state)
        return self._how

    def end(self, *, gone: bool = False) -> None:
        with suppress(Exception), get_client(sync_client=True) as client:
            state = client.read_flow_run(self.flow_run_id).state
            if state is None or not state.is_final():
                client.set_flow_run_state(self.flow_run_id, end_of(state, gone=gone), force=True)


class DeployedShards:
    """See `launching.Launcher`."""

    # Their machines are not this one's to count.
    at_once: int | None = None

    def __init__(self, plan: Plan, deployment: str) -> None:
        self._plan = plan
        self._deployment = deployment

    def launch(self, number: int) -> DeployedShard:
        # No coroutine, as no loop runs in a flow's own thread.
        flow_run = cast(
            FlowRun,
            run_deployment(
                self._deployment,
                parameters=parameters_of(self._plan, number),
                flow_run_name=f"{self._plan.name} shard {number}",
                timeout=0,
            ),
        )
        return DeployedShard(flow_run.id)


def end_of(state: "State | None", *, gone: bool) -> State:
    """The state that ends a flow run which is in this one. Pure."""
    if gone:
        return Crashed(message="its process has died, or its machine")
    if state is None or state.is_scheduled() or state.is_pending():
        return Cancelled(message="there was nothing left for it to do")
    # Its worker ends it.
    return Cancelling(message="its run has ended")


def how_ended(state: "State | None") -> str | None:
    """How a flow run ended, in a person's words; "" for one that has told what its items came to,
    None for one that has not ended. Pure."""
    if state is None or not state.is_final():
        return None
    # Failed is the state of a shard none of whose items succeeded; of one that could not work at
    # all, too, which its run finds out as nothing is told by it.
    if state.is_completed() or state.is_cancelled():
        return ""
    return f"ended as {state.name}: {state.message or 'without a word'}"


def check_deployment(name: str, flow: str) -> None:
    """Raises ConfigurationError for a deployment that there is not, or that is of another flow."""
    named, slash, _ = name.partition("/")
    if not slash or named != flow:
        raise ConfigurationError(
            f"deployment {name!r}: name a deployment of the flow {flow!r}, as"
            f" '{flow}/shard' (`prefect deployment ls` shows them)"
        )
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise ConfigurationError(
            f"there is no deployment {name!r} on this Prefect server: deploy the flow {flow!r} to a"
            " work pool under that name (docs/how-to/operations/many-machines.md)"
        ) from None
    if found.paused:
        raise ConfigurationError(f"deployment {name!r} is paused: its shards would never start")
