"""What a flow run keeps as its parameters."""

from typing import Any, ParamSpec, TypeVar

from prefect import Flow

from prefect_governor.blocks.prefect_internals.names import find

P = ParamSpec("P")
R = TypeVar("R")

find(
    "prefect.flows",
    "Flow.serialize_parameters",
    instead="a run keeps its parameters whole, and is refused where they are 512 KiB or more: give"
    " many items as files",
)


class FlowOfManyItems(Flow[P, R]):
    """A flow that has its say in what is kept, which Prefect's server bounds."""

    def _kept(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters` as the run keeps them: plain JSON."""
        return self._as_json(parameters)

    def _as_json(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return super().serialize_parameters(parameters)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._kept(parameters)
