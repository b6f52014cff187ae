"""A flow run that is to fail as its task runner starts: Prefect's engine takes no error there.

An exception in a runner's `__enter__` leaves the engine without a state: the run stays Running for
ever. So the error is raised in place of the flow's function, where the engine makes it the run's
failure, retries included. The engine is found on the stack: a runner is told nothing of its run.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Failed

from prefect_governor.blocks.prefect_internals.names import find

_INSTEAD = "a flow run whose governor does not load fails at once, without its `retries`"
# The engine's, the ExitStack's and the runner's own, with some to spare.
_FRAMES = 12


def fail_flow_run(error: Exception) -> Callable[[], None] | None:
    """Have the flow run whose task runner is being entered fail by `error`.

    Gives what undoes it, to be called as the runner is left: the flow's function is not called
    before. None where the error is to be raised here and now: no engine starts this runner, or it
    calls no function that could fail in its place (a generator's), and the run was told to be
    Failed.
    """
    engine = _starting()
    if engine is None:
        return None
    function = find(
        "prefect.flow_engine", f"{type(engine).__name__}.call_flow_fn", instead=_INSTEAD
    )
    if function is None or engine.flow.isgenerator:
        _say_failed(engine.flow_run.id, error)
        return None

    def fails() -> None:
        raise error

    async def fails_async() -> None:
        raise error

    engine.call_flow_fn = fails_async if inspect.iscoroutinefunction(function) else fails
    return lambda: vars(engine).pop("call_flow_fn", None)


def _starting() -> Any:
    """The engine that enters a task runner further up this stack; None where there is none."""
    known = find("prefect.flow_engine", "BaseFlowRunEngine", instead=_INSTEAD)
    if known is None:
        return None
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        # Suspended once the runner is entered: that of an outer flow is not on the stack.
        if frame.f_code.co_name == "setup_run_context":
            engine = frame.f_locals.get("self")
            return engine if isinstance(engine, known) else None
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _say_failed(flow_run_id: UUID, error: Exception) -> None:
    message = f"Flow run encountered an exception: {type(error).__name__}: {error}"
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Failed(message=message), force=True)
