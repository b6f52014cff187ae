"""What Prefect's states say in words and in names, and how long their results are waited for."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext

from prefect_governor.blocks.prefect_internals.names import takes

_UPSTREAM = re.compile(r"Upstream task run '([0-9a-f-]{36})'")


def is_not_ready(state: State[Any]) -> bool:
    """Whether a task run did not begin because of what it depends on."""
    return state.type is StateType.PENDING and state.name == "NotReady"


def upstream_of(message: str) -> str | None:
    """The task run that an `UpstreamTaskError` is about; None where it names none."""
    found = _UPSTREAM.search(message)
    return found[1] if found else None


def named_error(message: str, names: Iterable[str]) -> tuple[str, str] | None:
    """Which of these exceptions a state's message ends with, and what that said. It is all that is
    left of an exception in the API where no result is kept."""
    found = re.search(rf"\b({'|'.join(map(re.escape, names))}): (.*)", message, re.DOTALL)
    return (found[1], found[2]) if found else None


async def kept_result(state: State[Any]) -> Any:
    """The result of a state that has its data; read once, where Prefect would try for 2.5 s."""
    return await state.aresult(raise_on_failure=False, **_tried_once())


@cache
def _tried_once() -> dict[str, Any]:
    known = takes(
        "prefect.client.schemas.objects",
        "State.aresult",
        "retry_result_failure",
        instead="a result that is gone is tried for again and again before its item says so",
    )
    return {"retry_result_failure": False} if known else {}


def retries_left() -> bool:
    """Whether a flow run that fails here is run again: the server's own rule."""
    context = FlowRunContext.get()
    if context is None or context.flow is None or context.flow_run is None:
        return False
    # The first run counts as 1.
    return context.flow_run.run_count <= (context.flow.retries or 0)
