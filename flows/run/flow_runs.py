"""Flow runs of the ready flows as Prefect's server has them, to go on with: of deployments and of
programs, which no command line started."""

import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.run.resuming import PastRun

# What a run asks before it starts: whoever goes on with it is asked by the command line.
_ASKED_BEFORE = frozenset({"max_cost_multiple", "ask_above_usd"})
# What is code where a program gives it; what names it, as "package.module:name", is text.
_CODE = ("tools", "agent")
# What makes a flow run a shard of another.
_PART = "part_of"


def read_run(run_id: UUID, *, command: str, flow: Callable[..., Any]) -> PastRun | None:
    """A flow run to go on with, None where the server has none of that id.

    `command` is the program's and the flow's name, `flow` what has defaults for the parameters that
    the run was not given.

    Raises ConfigurationError for a run of another flow, one that has not ended, and one that was
    given code of a program's.
    """
    with get_client(sync_client=True) as client:
        try:
            flow_run = client.read_flow_run(run_id)
        except ObjectNotFound:
            return None
        name = client.read_flow(flow_run.flow_id).name
    if name != command:
        raise ConfigurationError(
            f"--resume {run_id}: it is a flow run of {name!r}, not of `{command}`"
        )
    state = flow_run.state
    if state is None or not state.is_final():
        what = "not started" if state is None else f"{state.name} in Prefect"
        raise ConfigurationError(
            f"--resume {run_id}: it is {what}, and two at once would both pay for what is missing:"
            " wait for it, or cancel it on its page first"
        )
    if flow_run.parameters.get(_PART) is not None:
        raise ConfigurationError(
            f"--resume {run_id}: it is a shard of another run, which is what is gone on with"
        )
    left = _ASKED_BEFORE | {_PART}
    given = {name: value for name, value in flow_run.parameters.items() if name not in left}
    for name in _CODE:
        if given.get(name) and not _is_text(given[name]):
            raise ConfigurationError(
                f"--resume {run_id}: its `{name}` were code of the program that ran it, which alone"
                " can run them; name them as 'package.module:name' to have them anywhere"
            )
    defaults = {
        each.name: each.default
        for each in inspect.signature(getattr(flow, "fn", flow)).parameters.values()
        if each.default is not each.empty and each.name not in left
    }
    kept_as = str(flow_run.parent_task_run_id or flow_run.id)
    return PastRun(str(run_id), kept_as, command, {**defaults, **given})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )
