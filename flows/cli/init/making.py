"""Makes and changes what `init` decided on, a step each."""

from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.workers.process import ProcessWorker

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.collection import Sandbox
from prefect_governor.blocks.documents.documents import read
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.model import Model
from prefect_governor.blocks.terms.price import PriceOverride
from prefect_governor.flows.cli.init.differences import FLOW, Fields, Step
from prefect_governor.flows.cli.init.standing import Standing

DESCRIPTION = "Ask a sub-agent the same question about each of many files, under a saved Governor."


class Maker:
    """Brings each thing to what a step wants.

    Args:
        there: what stands already.
        price: of the model, where it has none in LiteLLM's list.
    """

    def __init__(
        self, client: SyncPrefectClient, there: Standing, *, price: PriceOverride | None
    ) -> None:
        self._client = client
        self._there = there
        self._price = price
        self._deployment_id = None if there.deployment is None else there.deployment.id

    def make(self, steps: list[Step]) -> None:
        """In their order: each needs those before it."""
        # The fourth kind, so that the UI's catalog has all of them.
        Sandbox.register_type_and_schema()
        for step in steps:
            if step.change != "unchanged":
                getattr(self, f"_make_{step.kind.replace(' ', '_')}")(step.name, step.wanted)

    def page(self, step: Step) -> str:
        """The path of its page in Prefect's UI."""
        if step.kind == "work pool":
            return f"/work-pools/work-pool/{step.name}"
        if step.kind in ("deployment", "schedule"):
            return f"/deployments/deployment/{self._deployment_id}"
        kinds: dict[str, Any] = {"budget": Budget, "governor": Governor, "model": Model}
        return f"/blocks/block/{read(kinds[step.kind], step.name).id}"

    def _make_budget(self, name: str, wanted: Fields) -> None:
        there = self._there.budget
        budget = Budget(**wanted) if there is None else there.model_copy(update={**wanted})
        budget.save(name, overwrite=True)

    def _make_governor(self, name: str, wanted: Fields) -> None:
        there = self._there.governor
        most = wanted["max_concurrent"]
        if there is None:
            Governor(budget=Budget(parent=name), max_concurrent=most).save(name)
            return
        changed: dict[str, Any] = {"max_concurrent": most}
        if any(each.is_of_all for each in there.limits):
            changed = {
                "limits": [
                    each.model_copy(update=changed) if each.is_of_all else each
                    for each in there.limits
                ]
            }
        there.model_copy(update=changed).save(name, overwrite=True)

    def _make_model(self, name: str, wanted: Fields) -> None:
        there = self._there.model
        update = {**wanted, "price": self._price}
        model = Model(**update) if there is None else there.model_copy(update=update)
        model.save(name, overwrite=True)

    def _make_work_pool(self, name: str, wanted: Fields) -> None:
        template = ProcessWorker.get_default_base_job_template()
        self._client.create_work_pool(
            WorkPoolCreate(name=name, type=wanted["type"], base_job_template=template)
        )

    def _make_deployment(self, name: str, wanted: Fields) -> None:
        parameters = {
            each: wanted[each] for each in ("ask", "sources", "folder", "governor", "model")
        }
        there = self._there.deployment
        if there is None:
            self._deployment_id = self._client.create_deployment(
                flow_id=self._client.create_flow_from_name(FLOW),
                name=name.partition("/")[2],
                description=DESCRIPTION,
                tags=["governor"],
                parameters=parameters,
                work_pool_name=wanted["work pool"],
                entrypoint=wanted["entrypoint"],
                parameter_openapi_schema=wanted["form"],
                enforce_parameter_schema=True,
            )
            return
        update = DeploymentUpdate(
            parameters={**(there.parameters or {}), **parameters},
            work_pool_name=wanted["work pool"],
            entrypoint=wanted["entrypoint"],
            parameter_openapi_schema=wanted["form"],
        )
        self._client.update_deployment(there.id, update)

    def _make_schedule(self, name: str, wanted: Fields) -> None:
        schedule = CronSchedule(cron=wanted["cron"], timezone=wanted["time_zone"])
        there = self._there.fields()["schedule"]
        deployment_id = self._deployment_id
        assert isinstance(deployment_id, UUID), f"{name} is made before its schedule"
        if there is None:
            new = DeploymentScheduleCreate(schedule=schedule, active=wanted["active"])
            self._client.create_deployment_schedules(deployment_id, [new])
            return
        self._client.update_deployment_schedule(
            deployment_id, there["id"], active=wanted["active"], schedule=schedule
        )
