"""What stands already of what `init` makes."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.documents.documents import find, load_block
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.model import Model
from prefect_governor.flows.cli.init.answers import PAUSED
from prefect_governor.flows.cli.init.differences import FLOW, Fields

B = TypeVar("B", bound=Block)
T = TypeVar("T")

_PARAMETERS = ("ask", "sources", "folder", "governor", "model")


@dataclass(frozen=True)
class Standing:
    """What Prefect's API has under the names that were given; None for what it has not."""

    budget: Budget | None
    governor: Governor | None
    model: Model | None
    pool: WorkPool | None
    deployment: DeploymentResponse | None

    @classmethod
    def read(cls, client: SyncPrefectClient, name: str, pool: str | None) -> "Standing":
        """`pool` is the deployment's own where it is None.

        Raises ConfigurationError for a block that is not valid, and for a governor whose money is
        not that of the budget of its name.
        """
        governor = _block(Governor, name)
        if governor is not None and (
            governor.budget.parent != name
            or governor.budget.max_usd is not None
            or governor.budget.max_total_tokens is not None
        ):
            raise ConfigurationError(
                f"the Governor block {name!r} has a budget of its own, which init would not change:"
                " give another NAME"
            )
        deployment = _found(lambda: client.read_deployment_by_name(f"{FLOW}/{name}"))
        if pool is None:
            pool = (deployment and deployment.work_pool_name) or "governed"
        work_pool = _found(lambda: client.read_work_pool(pool))
        if work_pool is not None and work_pool.type != "process":
            raise ConfigurationError(
                f"the work pool {pool!r} is there and is of the type {work_pool.type!r}: init"
                " deploys for process workers; give another --pool"
            )
        return cls(_block(Budget, name), governor, _block(Model, name), work_pool, deployment)

    def fields(self) -> dict[str, Fields | None]:
        """By kind, what is there, as it is compared."""
        budget, governor, model = self.budget, self.governor, self.model
        found: dict[str, Fields | None] = dict.fromkeys(
            ("budget", "governor", "model", "work pool", "deployment")
        )
        if budget is not None:
            found["budget"] = {
                "max_usd": budget.max_usd,
                "window": budget.window,
                "time_zone": budget.time_zone,
            }
        if governor is not None:
            most = next(
                (each.max_concurrent for each in governor.every_limit if each.is_of_all), None
            )
            found["governor"] = {"parent": governor.budget.parent, "max_concurrent": most}
        if model is not None:
            found["model"] = {"name": model.name}
        if self.pool is not None:
            found["work pool"] = {"type": self.pool.type}
        if (deployed := self.deployment) is not None:
            found["deployment"] = {
                **{name: (deployed.parameters or {}).get(name) for name in _PARAMETERS},
                "work pool": deployed.work_pool_name,
                "entrypoint": deployed.entrypoint,
                "form": deployed.parameter_openapi_schema,
            }
        return {**found, "schedule": self._schedule()}

    def offered(self) -> dict[str, Any]:
        """What is offered as answers, of what is there."""
        fields = self.fields()
        offered: dict[str, Any] = {**(fields["budget"] or {})}
        if offered.get("max_usd") is not None:
            offered["max_usd"] = _dollars(offered["max_usd"])
        if self.model is not None:
            offered["model"] = self.model.name
        if self.governor is not None:
            offered["max_concurrent"] = (fields["governor"] or {})["max_concurrent"]
        deployed = fields["deployment"]
        if deployed is not None:
            offered |= {name: deployed[name] for name in ("ask", "sources", "folder")}
            offered["pool"] = deployed["work pool"]
        scheduled = fields["schedule"]
        if scheduled is not None and scheduled["active"]:
            offered["schedule"] = scheduled["cron"]
        elif deployed is not None:
            offered["schedule"] = PAUSED
        return {name: value for name, value in offered.items() if value is not None}

    def _schedule(self) -> Fields | None:
        """The deployment's first one by cron."""
        for each in self.deployment.schedules if self.deployment is not None else ():
            if isinstance(each.schedule, CronSchedule):
                return {
                    "id": each.id,
                    "cron": each.schedule.cron,
                    "time_zone": each.schedule.timezone,
                    "active": each.active,
                }
        return None


def _dollars(usd: Decimal) -> str:
    """As people write it: two decimals, or all of them where there are more."""
    return f"{usd:.2f}" if usd == round(usd, 2) else f"{usd.normalize():f}"


def _block(kind: type[B], name: str) -> B | None:
    terms: Any = kind
    return None if find(terms, name) is None else load_block(kind, name)


def _found(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ObjectNotFound:
        return None
