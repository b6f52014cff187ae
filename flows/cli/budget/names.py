"""Deployments and flow runs by the names that Prefect has for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
)

from prefect_governor.blocks.documents.deployments import AT_ONCE, deployment_names
from prefect_governor.blocks.leases.prefect_limits import impatient


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
            return Names(deployment_names(client, wanted), _runs(client, ran))
    except httpx.HTTPError:
        return Names()


def _runs(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at in range(0, len(ids), AT_ONCE):
        part = FlowRunFilterId(any_=list(ids[at : at + AT_ONCE]))
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=part))
        found |= {str(each.id): each.name for each in runs}
    return found


def _ids(given: Iterable[str | None]) -> list[UUID]:
    found = set()
    for each in given:
        try:
            found.add(UUID(each or ""))
        except ValueError:
            # Of a script's own run, or of none.
            continue
    return sorted(found)
