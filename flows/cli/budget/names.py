"""Deployments and flow runs by the names that Prefect has for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
)

from prefect_governor.blocks.leases.prefect_limits import impatient

# How many are asked for at once; Prefect answers with 200 at the most.
_AT_ONCE = 200


@dataclass(frozen=True)
class Names:
    """By id: deployments as "flow/deployment", flow runs as they are called. What Prefect does not
    know any more is not in it."""

    deployments: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)


def read_names(deployments: Iterable[str | None], runs: Iterable[str | None]) -> Names:
    """The names of these ids, from Prefect's API; none where it does not answer."""
    wanted, ran = _ids(deployments), _ids(runs)
    if not wanted and not ran:
        return Names()
    try:
        with impatient(), get_client(sync_client=True) as client:
            return Names(_deployments(client, wanted), _runs(client, ran))
    except httpx.HTTPError:
        return Names()


def _deployments(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[str, str]:
    found = _parts(
        ids,
        lambda part: client.read_deployments(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=part))
        ),
    )
    flows = {each.flow_id: client.read_flow(each.flow_id).name for each in found}
    return {str(each.id): f"{flows[each.flow_id]}/{each.name}" for each in found}


def _runs(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[str, str]:
    found = _parts(
        ids,
        lambda part: client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=part))
        ),
    )
    return {str(each.id): each.name for each in found}


def _parts(ids: Sequence[UUID], read: Callable[[list[UUID]], list[Any]]) -> list[Any]:
    return [
        each for at in range(0, len(ids), _AT_ONCE) for each in read(list(ids[at : at + _AT_ONCE]))
    ]


def _ids(given: Iterable[str | None]) -> list[UUID]:
    found = set()
    for each in given:
        try:
            found.add(UUID(each or ""))
        except ValueError:
            # Of a script's own run, or of none.
            continue
    return sorted(found)
