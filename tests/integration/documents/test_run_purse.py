"""A budget a run is the run's: its subflows draw on it, and a retry of it opens no other."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.runtime import flow_run as runtime

from prefect_governor import Budget, Governor, LedgerUnavailable, OverBudget, fan_out, research
from prefect_governor.blocks.prices.prices import OFFLINE
from tests.integration.governing import MODEL
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home", "server"), QUIET]

SPENDS = "0.40"


@pytest.fixture
def governor() -> Governor:
    return Governor.local("a-run", max_usd=1, window="run")


def spend(governor: Governor) -> str:
    try:
        with governor.reserve(max_usd=SPENDS) as made:
            made.settle(SPENDS)
    except OverBudget as error:
        return str(error)
    return "spent"


def assert_two_of_three(said: list[str]) -> None:
    assert said[:2] == ["spent"] * 2
    assert "$0.20 of the $1.00 ceiling of budget 'a-run' is left" in said[2]


def test_subflows_draw_on_their_roots_purse_however_deep(governor: Governor) -> None:
    @flow
    def child() -> str:
        return spend(governor)

    @flow
    def between() -> str:
        return child()

    @task
    def in_a_task() -> str:
        return child()

    @flow
    def parent() -> list[str]:
        return [between(), in_a_task(), spend(governor)]

    assert_two_of_three(parent())
    # Another run has another purse.
    assert parent()[0] == "spent"


async def test_async_subflows_too(governor: Governor) -> None:
    @flow
    async def child() -> str:
        return await asyncio.to_thread(spend, governor)

    @flow
    async def parent() -> list[str]:
        return [await child() for _ in range(3)]

    assert_two_of_three(await parent())


def test_retried_parent_opens_no_new_purse(governor: Governor) -> None:
    said: list[str] = []

    @flow
    def child(number: int) -> None:
        said.append(spend(governor))

    @flow(retries=2)
    def parent() -> None:
        child(len(said))
        if len(said) < 3:
            raise ValueError("again")

    parent()
    assert_two_of_three(said)


def test_each_has_its_own_where_that_is_asked_for(governor: Governor) -> None:
    @flow
    def child() -> str:
        with governor.activate(own_purse=True):
            return spend(governor)

    @flow
    def parent() -> list[str]:
        return [child() for _ in range(3)]

    assert parent() == ["spent"] * 3


def test_root_that_prefect_does_not_tell_is_no_second_ceiling(
    governor: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise ConnectionError("no server")

    @flow
    def child() -> str:
        monkeypatch.setitem(runtime.FIELDS, "root_flow_run_id", away)
        try:
            return spend(governor)
        except LedgerUnavailable as error:
            return str(error)

    @flow
    def parent() -> str:
        return child()

    assert "Prefect does not say of which" in parent()


def test_ready_flows_in_a_flow_draw_on_its_purse_and_report_it(upstream: ProviderProcess) -> None:
    saved = Governor(budget=Budget(max_usd=1, window="run"))
    saved.save("run-purse", overwrite=True)

    @flow
    def parent() -> list[Any]:
        texts = ["The tenant pays the rent.", "The landlord mends the roof."]
        made = [
            fan_out([text], ask="Who pays?", governor="run-purse", model=MODEL) for text in texts
        ]
        return [each.budget.spent_usd for each in made]

    first, both = parent()
    assert 0 < first < both


@pytest.mark.usefixtures("put_out_of_work")
def test_the_report_of_what_the_offline_model_did_says_that_no_budget_paid(
    name: str, tmp_path: Path
) -> None:
    Governor(budget=Budget(max_usd=0)).save(name)
    (tmp_path / "a.md").write_text("The tenant pays the rent.")
    for report in (
        fan_out(["a.md"], folder=str(tmp_path), ask="Who pays?", model=OFFLINE, governor=name),
        research("Who pays?", corpus=["a.md"], folder=str(tmp_path), model=OFFLINE, governor=name),
    ):
        assert report.outcome == "complete", report.reason
        assert any("drawn on no saved budget" in note for note in report.notes), report.notes
