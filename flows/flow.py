"""The kind of flow that the ready flows are."""

import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.settings import PREFECT_API_URL

from prefect_governor.flows.server import ensure_server, use_server
from prefect_governor.flows.sources import items_from
from prefect_governor.flows.spool import spool

P = ParamSpec("P")
R = TypeVar("R")

# Prefect's server refuses parameters of 512 KiB and more.
MOST_PARAMETER_BYTES = 400 * 1024


class ReadyFlow(Flow[P, R]):
    """A flow that finds or starts a server where none is configured, and whose `items` may be many.

    Prefect would start a server for each process that calls a flow without one.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not PREFECT_API_URL.value():
            use_server(ensure_server())
        return super().__call__(*args, **kwargs)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What the run keeps as its parameters: texts that are too many stand in a file."""
        kept = super().serialize_parameters(parameters)
        if len(json.dumps(kept)) < MOST_PARAMETER_BYTES or not parameters.get("items"):
            return kept
        items = items_from(parameters["items"])
        texts = [{"key": item.key, "text": item.text} for item in items if item.text is not None]
        files = [str(item.source) for item in items if item.text is None]
        sources = [str(spool(texts)), *files, *(parameters.get("sources") or [])]
        return {**kept, "items": None, "sources": sources}


def ready_flow(**options: Any) -> "Callable[[Callable[P, R]], ReadyFlow[P, R]]":
    """`prefect.flow`, for a `ReadyFlow`."""

    def decorate(function: Callable[P, R]) -> ReadyFlow[P, R]:
        return ReadyFlow(function, **options)

    return decorate
