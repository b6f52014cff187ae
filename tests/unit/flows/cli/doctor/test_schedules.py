"""What a scheduled run costs a budget, of all deployments that there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from prefect_governor.blocks.prices.prices import OFFLINE
from prefect_governor.blocks.records.budgets import NOMINAL, Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.cli.doctor.schedules import Cost, _deployments, cost_of, due_until
from prefect_governor.flows.estimate.estimate import forecast
from prefect_governor.flows.estimate.history import question_key
from prefect_governor.flows.estimate.standing import standing_of
from prefect_governor.flows.run.job import make_request

MODEL = "openai/gpt-4o-mini"
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


def test_an_estimate_that_is_finer_than_a_nano_dollar_is_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what past answers were like, of which a share of a token is the mean. It was told as a
    run that would be refused."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    at = desk()
    at.write(lambda batch: batch.register(TEAM)).result()
    for count, tokens in enumerate((101, 53, 67)):
        who = Attribution(flow="fan-out", model=MODEL, flow_run_id="r", run_id="r", item="a")
        demand = Demand(str(count), (TEAM.key,), (), Bound(10**6, 900, 99), who)
        at.admit(demand).result(30)
        at.settle(str(count), Usage(1000, tokens, 7 + count % 2)).result(30)
    asked = Deployed({"ask": "Who pays?", "items": ["The tenant pays."], "model": MODEL})
    request = make_request(**asked.parameters)
    key = question_key(request)
    at.write(lambda batch: batch.rows.put_item(key, "r", "", "{}")).result()
    expected = forecast(request, standing_of(request))
    assert expected.p50_usd * 10**9 % 1, "a whole number of nano-dollars tries nothing"
    found = cost_of(cast(DeploymentResponse, asked), at.store)
    assert found is not None
    assert found.why == "by its estimate"
    assert 0 < found.nano - expected.p50_usd * 10**9 < 1


@pytest.mark.parametrize(
    ("minutes", "until", "due"),
    [
        # Every minute: an hour of them is made, and a day is asked for.
        (range(1, 61), 24 * 60, 24 * 60 - 1),
        # Daily: three are made, and the month goes on for 20 days.
        ((60, 1500, 2940), 20 * 1440, 20),
        # What is made goes on beyond the window.
        ((60, 1500, 2940), 1440, 1),
        ((60, 1500, 2940), 2940, 2),
        ((60, 1500, 2940), 2941, 3),
        ((60, 1500, 2940), 4380, 3),
        ((60, 1500, 2940), 4381, 4),
        # Nobody knows how often.
        ((60,), 20 * 1440, 1),
        ((60, 60), 20 * 1440, 2),
        ((), 20 * 1440, 0),
    ],
)
def test_runs_that_are_not_made_yet_are_due_too(
    minutes: Sequence[int], until: int, due: int
) -> None:
    now = datetime(2026, 11, 1, tzinfo=timezone.utc)
    made = [now + timedelta(minutes=each) for each in minutes]
    assert due_until(made, now + timedelta(minutes=until)) == due


def test_deployments_beyond_the_first_page_are_looked_at_too() -> None:
    class Server:
        def read_deployments(self, *, limit: int, offset: int) -> list[int]:
            return list(range(450))[offset : offset + limit]

    assert list(_deployments(cast(SyncPrefectClient, Server()))) == list(range(450))
