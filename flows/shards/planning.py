"""From a run that is ready to the plan that its shards read, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect_governor.blocks.context.purses import purse_run, spend_as
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import parse_usd, plain_number
from prefect_governor.flows.run.flow import ThisRun
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.run.watch import Watched
from prefect_governor.flows.shards.cutting import chunk_size
from prefect_governor.flows.shards.feed import check_ledger
from prefect_governor.flows.shards.plan import (
    FAN_OUT,
    RESEARCH,
    Plan,
    folder_of,
    order,
    read_plan,
    write_items,
)

# What is the run's own: its items, who works on them, and what is decided before it starts or when
# all has ended. Said to be nothing, since a deployment may have defaults of its own.
_OF_EACH_RUN = {
    "shards": None, "deployment": None, "processes": None, "max_cost_multiple": None,
    "min_success": 0.0,
}  # fmt: skip
_OF_THE_RUN: Mapping[str, Mapping[str, Any]] = {
    FAN_OUT: {**_OF_EACH_RUN, "items": None, "sources": None, "ask_above_usd": None},
    RESEARCH: {**_OF_EACH_RUN, "plan": None},
}
_MONEY = ("max_usd", "search_usd")
_WITHOUT_NULL = ("items_per_task", "processes")


def make_plan(job: Job, here: ThisRun, *, shards: int, results: Path) -> Plan:
    """Write a run's items and all that its shards must know, of which there are no more than items.
    The job keeps of its items what names them.

    Raises ConfigurationError.
    """
    folder = new_folder(job.kept_as)
    written = write_items(folder, job.request.every_item())
    job.items[:] = written.names
    total = job.total
    shards = min(shards, total)
    size = chunk_size(total, shards)
    plan = plan_of(
        job,
        here,
        folder=folder,
        work=f"{job.kept_as}/{written.digest}/{size}",
        shards=shards,
        results=results,
        total=total,
        size=size,
        offsets=tuple(written.starts[::size]),
    )
    plan.save()
    return plan


def plan_of(
    run: Watched,
    here: ThisRun,
    *,
    folder: Path,
    work: str,
    shards: int,
    results: Path,
    flow: str = FAN_OUT,
    **items: Any,
) -> Plan:
    """What the shards of a run must know; `items` are the fields of a plan whose items are known
    beforehand."""
    return Plan(
        folder=folder,
        kept_as=run.kept_as,
        attempt=folder.name,
        work=work,
        ledger=run.runtime.desk.store.ledger_id,
        purse=purse_run(run.kept_as),
        shards=shards,
        results=str(results.absolute()),
        retry_failed=run.control.retry_failed,
        name=here.flow_run.name,
        flow=flow,
        parameters=shared_parameters(here.flow_run.parameters, flow),
        **items,
    )


def new_folder(kept_as: str) -> Path:
    """That of a new attempt of a run, named for it; there is none yet. Shards of an earlier one are
    told to begin nothing more."""
    above = folder_of(kept_as)
    for earlier in sorted(above.glob("*")):
        order(earlier, stop="another attempt goes on with the run")
    return above / uuid4().hex[:12]


def shared_parameters(given: Mapping[str, Any], flow: str = FAN_OUT) -> dict[str, Any]:
    """Those of a run that its shards have too, as a deployment's form takes them. Pure."""
    shared = {**given, **_OF_THE_RUN[flow]}
    for name in _WITHOUT_NULL:
        # In the form they are a number or auto, and where they are neither they are left out.
        if shared.get(name) is None:
            shared.pop(name, None)
    for name in _MONEY:
        # The form has money as numbers.
        if isinstance(shared.get(name), str):
            shared[name] = plain_number(parse_usd(shared[name], name=name))
    return shared


def end_plan(run: Watched, plan: Plan) -> None:
    """The run has ended: nothing that its shards shared is kept."""
    run.runtime.desk.write(lambda batch: batch.rows.remove_chunks(plan.work)).result()
    plan.remove()


@dataclass(frozen=True)
class Part:
    """Which shard of which run a flow run is."""

    plan: Plan
    number: int

    @classmethod
    def of(cls, given: Any) -> "Part | None":
        """From the flow's parameter; None where the run is its own. Raises ConfigurationError."""
        if given is None:
            return None
        if not isinstance(given, Mapping) or set(given) != {"folder", "shard"}:
            raise ConfigurationError(
                "part_of is what a run gives its shards: leave it out, and give shards or processes"
            )
        return cls(read_plan(Path(str(given["folder"]))), int(given["shard"]))

    def join(self, here: ThisRun) -> ThisRun:
        """The flow run, as part of its run: kept under its name, spending in its purse."""
        here.control.retry_failed = self.plan.retry_failed
        spend_as(self.plan.kept_as, self.plan.purse)
        return ThisRun(here.flow_run, here.control, self.plan.kept_as)

    def check(self, ledger_id: str) -> None:
        """Raises ConfigurationError where it would spend from another ledger than its run."""
        check_ledger(self.plan, ledger_id)


def parameters_of(plan: Plan, number: int) -> dict[str, Any]:
    """The flow's parameters that make a flow run a shard."""
    part = {"folder": str(plan.folder), "shard": number}
    return {**plan.parameters, "part_of": part}
