"""Deployments by the names that Prefect's command line has for them."""

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterId,
)

# How many are asked for at once; Prefect answers with 200 at the most.
AT_ONCE = 200


def deployment_names(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[str, str]:
    """The names of deployments by their ids, as "flow/deployment". What Prefect does not know any
    more is not among them."""
    names: dict[str, str] = {}
    for at in range(0, len(ids), AT_ONCE):
        part = list(ids[at : at + AT_ONCE])
        found = client.read_deployments(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=part))
        )
        of = sorted({each.flow_id for each in found})
        flows = client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=of)))
        called = {each.id: each.name for each in flows}
        names |= {str(each.id): f"{called.get(each.flow_id, '')}/{each.name}" for each in found}
    return names
