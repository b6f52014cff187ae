"""What a scheduled run costs a budget, of all deployments that there are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from prefect_governor.blocks.prices.prices import OFFLINE
from prefect_governor.blocks.records.budgets import NOMINAL, Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.cli.doctor.schedules import Cost, _deployments, cost_of

TEAM = Account("0b0b0b0b-0000-4000-8000-000000000000", "team", 10**9, None)


@dataclass
class Deployed:
    """What the doctor reads of a deployment."""

    parameters: dict[str, Any]
    id: str = "a-deployment"
    entrypoint: str = "fan_out_flow.fan_out"


def spend(account: Account, run: str, nano: int) -> None:
    at = desk()
    at.write(lambda batch: batch.register(account)).result()
    who = Attribution(deployment="a-deployment", flow_run_id=run, run_id=run)
    call = f"{account.name} {run}"
    demand = Demand(call, (account.key,), (), Bound(nano, 10, 10), who)
    at.admit(demand).result(30)
    at.settle(call, Usage(nano, 10, 10)).result(30)


def test_the_offline_models_runs_cost_a_budget_nothing(home: Path, tmp_path: Path) -> None:
    """Else a team is told to raise a ceiling that nothing is drawn on."""
    (tmp_path / "a.txt").write_text("The tenant pays the rent.")
    offline = cast(
        DeploymentResponse,
        Deployed({"ask": "Who pays?", "sources": [str(tmp_path)], "model": OFFLINE}),
    )
    for run in ("first", "second"):
        spend(NOMINAL, run, 2 * 10**9)
    store = desk().store
    assert cost_of(offline, store) == Cost(0, "nobody bills the offline model")
    # A run with both costs what was billed.
    spend(TEAM, "second", 500)
    assert cost_of(offline, store) == Cost(500, "as 1 past run")


def test_deployments_beyond_the_first_page_are_looked_at_too() -> None:
    class Server:
        def read_deployments(self, *, limit: int, offset: int) -> list[int]:
            return list(range(450))[offset : offset + limit]

    assert list(_deployments(cast(SyncPrefectClient, Server()))) == list(range(450))
