"""The Automations, and the deployments that they run. Making one again replaces what is there."""

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema

from prefect_governor.blocks.documents.documents import accounts_of, root_of
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.outbox import SHARES
from prefect_governor.blocks.money.usd import parse_usd, show_usd, to_nano
from prefect_governor.blocks.prefect_internals.block_documents import notification_by
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.flows.automations.asking import check_can_be_answered
from prefect_governor.flows.automations.decision import opening_cron
from prefect_governor.flows.automations.holding import bring
from prefect_governor.flows.automations.turns import one_at_a_time

_EVENT = "prefect-governor.budget."
_MODULE = "prefect_governor.flows.automations"

# What can be told of: how it is asked for, its event, and what is said of it.
TOLD: dict[str, tuple[str, str, str]] = {
    "share-spent": (
        f"{_EVENT}share-spent",
        "{{ event.resource.name }} is spent to"
        " {{ event.resource['prefect-governor.budget.share'] }}%",
        "{{ event.payload.spent_usd }} of {{ event.payload.ceiling_usd }} USD in"
        " {{ event.payload.window }}.",
    ),
    "over-budget": (
        f"{_EVENT}over-budget",
        "{{ event.resource.name }} refuses calls",
        "{{ event.payload.why }}",
    ),
    "unconfirmed": (
        f"{_EVENT}unconfirmed",
        "{{ event.payload.calls }} calls of {{ event.resource.name }} are unconfirmed",
        "{{ event.payload.usd }} USD stay charged until `prefect-governor budget reconcile"
        " {{ event.resource.name }}` says what was billed.",
    ),
    "document-invalid": (
        f"{_EVENT}document-invalid",
        "The block {{ event.payload.governor }} is not valid",
        "{{ event.payload.reason }}",
    ),
    "circuit-breaker": (
        "prefect-governor.circuit-breaker.opened",
        "{{ event.resource.name }} stopped itself",
        "{{ event.payload.reason }}",
    ),
}


@dataclass(frozen=True)
class Deployed:
    """A deployment to be made of one of this room's flows."""

    flow: str
    name: str
    pool: str
    parameters: Mapping[str, Any]
    description: str
    cron: str | None = None
    time_zone: str = "UTC"
    tags: Sequence[str] = field(default=("governor",))

    def make(self, client: SyncPrefectClient) -> UUID:
        """Create it, or bring the one of its name up to this."""
        module = {"hold_deployments": "holding", "ask_to_raise": "asking"}[self.flow]
        entrypoint = f"{_MODULE}.{module}.{self.flow}"
        made = getattr(importlib.import_module(f"{_MODULE}.{module}"), self.flow)
        schedule = CronSchedule(cron=self.cron, timezone=self.time_zone) if self.cron else None
        return client.create_deployment(
            flow_id=client.create_flow(made),
            name=self.name,
            work_pool_name=self.pool,
            entrypoint=entrypoint,
            parameters=dict(self.parameters),
            parameter_openapi_schema=parameter_schema(made).model_dump(),
            description=self.description,
            tags=list(self.tags),
            schedules=[DeploymentScheduleCreate(schedule=schedule)] if schedule else [],
        )


def hold(budget: str, deployments: Sequence[str], *, at: int, pool: str | None) -> list[str]:
    """Have deployments paused at a share of a budget, and run again when its next window opens or
    its ceiling is changed. Returns a line for each thing made.

    Raises ConfigurationError: there is no such budget, deployment, share or work pool.
    """
    _check_share(at)
    account = _account(budget)
    with get_client(sync_client=True) as client:
        pools = {name: _pool_of(client, name) for name in deployments}
        pool = _pool(client, pool or next((each for each in pools.values() if each), None))
        deployed = Deployed(
            "hold_deployments",
            budget,
            pool,
            {"budget": budget, "deployments": list(deployments), "at": at},
            f"Pauses what draws on {budget} at {at}% of it, and lets it run again.",
            cron=opening_cron(account.window),
            time_zone=account.time_zone,
        )
        let_go = _let_go(client, budget, deployments)
        made = deployed.make(client)
        run = _run(made)
        share = {"prefect-governor.budget.share": str(at)}
        lines = [f"deployment hold-deployments/{budget} on work pool {pool}{_opening(deployed)}"]
        lines += [f"{name} is held by {budget} no longer" for name in let_go]
        lines += [
            _saved(
                client,
                AutomationCore(
                    name=f"hold what draws on {budget}",
                    description=f"Pauses {', '.join(deployments)} at {at}%.",
                    trigger=_on(f"{_EVENT}share-spent", account, **share),
                    actions=[run],
                ),
            ),
            _saved(
                client,
                AutomationCore(
                    name=f"look again when {budget} is raised",
                    description=f"Lets {', '.join(deployments)} run again where money is there.",
                    trigger=_on(f"{_EVENT}ceiling-changed", account),
                    actions=[run],
                ),
            ),
        ]
    return lines


def _let_go(client: SyncPrefectClient, budget: str, deployments: Sequence[str]) -> list[str]:
    """Let those run again that were held before and are named no more: nobody else would."""
    try:
        before = client.read_deployment_by_name(f"hold-deployments/{budget}").parameters
    except ObjectNotFound:
        return []
    dropped = sorted({*before.get("deployments", ())} - {*deployments})
    with one_at_a_time("hold-deployments"):
        for name in dropped:
            # One that was deleted is held by nobody.
            with suppress(ObjectNotFound, ValueError):
                bring(client, name, budget, share=0, at=1)
    return dropped


def ask(budget: str, *, pool: str | None, at_most_usd: str | None) -> list[str]:
    """Have a person asked for a raise when a budget refuses calls. Returns a line for each thing
    made.

    Raises ConfigurationError: there is no such budget or work pool, it has no ceiling in USD, or no
    answer could raise it.
    """
    account = _account(budget)
    check_can_be_answered(budget, account.ceiling_nano)
    if at_most_usd is not None:
        most = to_nano(parse_usd(at_most_usd, name="--at-most"))
        if account.ceiling_nano is not None and most <= account.ceiling_nano:
            raise ConfigurationError(
                f"--at-most {at_most_usd}: the ceiling of {budget!r} is"
                f" {show_usd(account.ceiling_nano)} already, so no answer could raise it"
            )
    with get_client(sync_client=True) as client:
        pool = _pool(client, pool)
        made = Deployed(
            "ask_to_raise",
            budget,
            pool,
            {"budget": budget, "at_most_usd": at_most_usd},
            f"Asks a person whether {budget} is to be raised, and raises it by the answer.",
        ).make(client)
        return [
            f"deployment ask-to-raise/{budget} on work pool {pool}",
            _saved(
                client,
                AutomationCore(
                    name=f"ask when {budget} is spent",
                    description="A suspended flow run asks; Resume on its page answers.",
                    trigger=_on(f"{_EVENT}over-budget", account),
                    actions=[_run(made)],
                ),
            ),
        ]


def notify(block: str, *, events: Sequence[str], budget: str | None, at: int) -> list[str]:
    """Have a saved notification block, "TYPE/NAME", sent what happens. Returns a line for each
    thing made.

    Args:
        events: of `TOLD`.
        budget: of which budget alone; None: of any.
        at: of "share-spent", the percent.

    Raises ConfigurationError: there is no such block or budget, or no such percent is told.
    """
    _check_share(at)
    account = None if budget is None else _account(budget)
    of = f" of {budget}" if budget else ""
    slug, _, name = block.partition("/")
    with get_client(sync_client=True) as client:
        try:
            found = client.read_block_document_by_name(name, slug)
        except ObjectNotFound:
            raise ConfigurationError(
                f"there is no block {block!r}: `prefect block ls` lists what there is as type and"
                " name, such as slack-webhook/team"
            ) from None
        lines = []
        for each in events:
            event, subject, body = TOLD[each]
            labels = {"prefect-governor.budget.share": str(at)} if each == "share-spent" else {}
            lines.append(
                _saved(
                    client,
                    AutomationCore(
                        name=f"tell {each}{of} by {block}",
                        description="What a governor has to tell, as a notification.",
                        trigger=_on(event, account, **labels),
                        actions=[
                            notification_by(found.id, subject=subject, body=body),
                        ],
                    ),
                )
            )
    return lines


def _check_share(at: int) -> None:
    if at not in SHARES:
        known = ", ".join(str(each) for each in SHARES)
        raise ConfigurationError(f"--at {at}: what is told of a budget are {known} percent")


def _account(budget: str) -> Account:
    return accounts_of(budget)[1][0]


def _on(event: str, account: Account | None, **labels: str) -> EventTrigger:
    """At once, each time; of one budget, or of any, apart."""
    match: dict[str, Any] = {**labels}
    if account is not None:
        match["prefect.resource.id"] = f"prefect.block-document.{root_of(account.key)}"
    return EventTrigger(
        expect={event},
        match=match,
        for_each=set() if account is not None else {"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
    )


def _run(deployment_id: UUID) -> RunDeployment:
    return RunDeployment.model_validate({"source": "selected", "deployment_id": deployment_id})


def _opening(deployed: Deployed) -> str:
    if deployed.cron is None:
        return "; its window is the only one: a raise alone lets them run again"
    return f", each time that a window opens ({deployed.cron} {deployed.time_zone})"


def _pool_of(client: SyncPrefectClient, deployment: str) -> str | None:
    try:
        return client.read_deployment_by_name(deployment).work_pool_name
    except (ObjectNotFound, ValueError):
        raise ConfigurationError(
            f"there is no deployment {deployment!r}: `prefect deployment ls` lists them, as"
            " flow/deployment"
        ) from None


def _pool(client: SyncPrefectClient, name: str | None) -> str:
    """A work pool that is there: of that name, else the only one."""
    if name is not None:
        try:
            return client.read_work_pool(name).name
        except ObjectNotFound:
            raise ConfigurationError(
                f"there is no work pool {name!r}: `prefect work-pool create {name} --type process`"
            ) from None
    pools = [each.name for each in client.read_work_pools()]
    if len(pools) != 1:
        raise ConfigurationError(
            "say which work pool's worker is to run it, with --pool"
            + (f": {', '.join(sorted(pools))}" if pools else
               "; there is none: `prefect work-pool create governed --type process`")
        )  # fmt: skip
    return pools[0]


def _saved(client: SyncPrefectClient, automation: AutomationCore) -> str:
    """Create it, or update the one of its name."""
    old = client.read_automations_by_name(automation.name)
    if not old:
        client.create_automation(automation)
        return f"automation {automation.name!r}"
    client.update_automation(old[0].id, automation)
    for each in old[1:]:
        client.delete_automation(each.id)
    return f"automation {automation.name!r}, updated"
