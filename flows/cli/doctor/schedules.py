"""What the doctor finds of schedules: deployments whose next runs their budget cannot pay for."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse

from prefect_governor.blocks.documents.documents import accounts_of
from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.leases.prefect_limits import impatient
from prefect_governor.blocks.ledger.decision.store import NOTHING, Store
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.money.windows import window_bounds
from prefect_governor.blocks.records.budgets import NOMINAL, Account
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.flows.cli.doctor.documents import Documents
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.ledgers import Stores, opened
from prefect_governor.flows.cli.doctor.money import charged

# Of a ceiling that is counted for ever, so far ahead is looked, in days.
TOTAL_DAYS = 7
_CENT = 10**7
_PAGE = 200


@dataclass(frozen=True)
class Cost:
    """What one run costs, and how that is known, in words."""

    nano: int
    why: str


def schedules(documents: Documents) -> Iterator[Finding]:
    """Each deployment with a schedule that is on, whose runs draw on a saved governor."""
    with impatient(), get_client(sync_client=True) as client:
        found = [each for each in _deployments(client) if _is_scheduled(each)]
        if not found:
            return
        flows = {each.id: f"{client.read_flow(each.flow_id).name}/{each.name}" for each in found}
        with opened(own=documents.ledger) as stores:
            for deployment in found:
                about = f"schedule of {flows[deployment.id]!r}"
                yield from _deployment(about, deployment, documents, client, stores)


def _deployments(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    """All of them: the API answers with a page at a time."""
    offset = 0
    while page := client.read_deployments(limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)


def _is_scheduled(deployment: DeploymentResponse) -> bool:
    return not deployment.paused and any(each.active for each in deployment.schedules)


def _deployment(
    about: str,
    deployment: DeploymentResponse,
    documents: Documents,
    client: SyncPrefectClient,
    stores: Stores,
) -> Iterator[Finding]:
    name = deployment.parameters.get("governor")
    if not isinstance(name, str) or not name:
        return
    saved = documents.governors.get(name)
    page = f"{documents.ui_url}/deployments/deployment/{deployment.id}"
    if saved is None:
        text = f"there is no Governor block named {name!r}, which its runs ask for"
        yield Finding("fail", about, text, f"save it, or name another: {page}")
        return
    if not isinstance(saved.terms, GovernorTerms) or documents.broken_above(saved):
        # It is told of as a governor.
        return
    url = saved.terms.ledger_url
    store = stores.at(None if url is None else url.get_secret_value())
    try:
        cost = cost_of(deployment, store)
    except (ConfigurationError, TypeError) as error:
        text = f"its next run would be refused: {error}"
        yield Finding("warn", about, text, f"edit its parameters: {page}")
        return
    except (GovernorError, OSError) as error:
        yield Finding("ok", about, f"what a run costs is not known here: {error}")
        return
    if cost is None:
        text = f"under governor {name!r}; no past run says what one costs"
        yield Finding("ok", about, text)
        return
    yield next(
        (
            short
            for account in accounts_of(name)[1]
            if (short := _short(about, account, cost, deployment.id, client, store)) is not None
        ),
        Finding(
            "ok", about, f"a run costs about {show_usd(cost.nano)} ({cost.why}), which is there"
        ),
    )


def _short(
    about: str,
    account: Account,
    cost: Cost,
    deployment_id: UUID,
    client: SyncPrefectClient,
    store: Store | None,
) -> Finding | None:
    """What is said where a budget does not pay for the runs until its window ends."""
    if account.ceiling_nano is None:
        return None
    if account.window == "run":
        runs, left, until = 1, account.ceiling_nano, "each run"
    else:
        end = window_end(account, datetime.now(timezone.utc))
        runs = _due(client, deployment_id, end)
        left = max(0, account.ceiling_nano - charged(store, account)[0])
        until = f"{runs:,} run{'' if runs == 1 else 's'} until {end:%Y-%m-%d %H:%M} UTC"
    return short_of(about, account, cost, runs=runs, left_nano=left, until=until)


def short_of(
    about: str, account: Account, cost: Cost, *, runs: int, left_nano: int, until: str
) -> Finding | None:
    """The finding for a budget that so many runs would overdraw; None where it pays. Pure."""
    ceiling = account.ceiling_nano or 0
    needed = runs * cost.nano
    each = f"a run costs about {show_usd(cost.nano)} ({cost.why})"
    if cost.nano > ceiling:
        raised = _cents(max(needed, cost.nano) + ceiling - min(left_nano, ceiling))
        return Finding(
            "fail",
            about,
            f"{each}, more than the whole ceiling of {account.name!r}, {show_usd(ceiling)}",
            None,
            f"prefect-governor budget raise {account.name} {raised}",
        )
    if needed <= left_nano:
        return None
    return Finding(
        "warn",
        about,
        f"{each}: {until} need {show_usd(needed)}, and {account.name!r} has {show_usd(left_nano)}"
        " left",
        None,
        f"prefect-governor budget raise {account.name} +{_cents(needed - left_nano)}",
    )


def window_end(account: Account, now: datetime) -> datetime:
    """When the window of now ends; of one that never does, some days from now."""
    bounds = window_bounds(
        account.window, time_zone=account.time_zone, wall_seconds=now.timestamp()
    )
    if bounds is None:
        return now + timedelta(days=TOTAL_DAYS)
    return datetime.fromtimestamp(bounds[1], tz=timezone.utc)


def _due(client: SyncPrefectClient, deployment_id: UUID, end: datetime) -> int:
    """Runs that are due until then: those that Prefect has made, and as often from there on."""
    made: list[datetime] = []
    offset = 0
    while page := client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
        limit=_PAGE,
        offset=offset,
    ):
        made += [each.expected_start_time for each in page if each.expected_start_time]
        offset += len(page)
    return due_until(made, end)


def due_until(made: Sequence[datetime], end: datetime) -> int:
    """Of a schedule whose next runs are `made`, how many are due before `end`. Prefect makes no
    more than the next hour's or the next three: the others come as often as these. Pure."""
    due = sum(each < end for each in made)
    if due < len(made) or len(made) < 2:
        return due
    first, last = min(made), max(made)
    every = (last - first) / (len(made) - 1)
    if not every:
        return due
    return due + max(0, -((last - end) // every) - 1)


def cost_of(deployment: DeploymentResponse, store: Store | None) -> Cost | None:
    """What one run costs: as its past runs did, else by the estimate of its parameters, where it is
    a fan-out. None where nothing says it.

    Raises ConfigurationError or TypeError where its parameters would be refused.
    """
    past = [] if store is None else _past_runs(store, str(deployment.id))
    if past:
        runs = f"{len(past):,} past run{'' if len(past) == 1 else 's'}"
        return Cost(round(statistics.median(past)), f"as {runs}")
    if not str(deployment.entrypoint or "").endswith(("fan_out_flow.fan_out", ":fan_out")):
        return None
    return _estimated(deployment.parameters)


def _past_runs(store: Store, deployment_id: str) -> list[int]:
    """What budgets were charged for the runs of a deployment, each, in nano-dollars. What the
    offline model is said to cost is drawn on none."""
    of = {"deployment": deployment_id}
    nominal = store.read_spend("flow_run_id", of, account=NOMINAL.key)
    nano = [
        each.spent_nano + each.unconfirmed_nano - nominal.get(run, NOTHING).spent_nano
        for run, each in store.read_spend("flow_run_id", of).items()
        if run
    ]
    return [each for each in nano if each > 0]


def _estimated(parameters: Mapping[str, Any]) -> Cost:
    from prefect_governor.blocks.money.usd import round_up
    from prefect_governor.flows.agent.offline import is_offline
    from prefect_governor.flows.estimate.estimate import forecast
    from prefect_governor.flows.estimate.standing import standing_of
    from prefect_governor.flows.run.job import make_request

    request = make_request(**parameters)
    if is_offline(request.model.name):
        return Cost(0, "nobody bills the offline model")
    # An estimate is no amount that was billed: it may be finer than a nano-dollar.
    return Cost(round_up(forecast(request, standing_of(request)).p50_usd), "by its estimate")


def _cents(nano: int) -> str:
    """USD in whole cents, none too few."""
    return f"{Decimal(-(-nano // _CENT)) / 100:.2f}"
