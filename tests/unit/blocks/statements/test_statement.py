"""What a page is made of, read from a real ledger."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.money.windows import Window
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.statements.page import page
from prefect_governor.blocks.statements.statement import DAYS, pace_seconds, read_statement
from tests.waiting import until

NANO = 10**9


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[LedgerDesk]:
    desk = LedgerDesk(SQLiteStore(tmp_path / "ledger.sqlite"), Owner(tmp_path / "owners"))
    yield desk
    desk.close()


def chain(desk: LedgerDesk, window: Window = "day") -> tuple[Account, ...]:
    """A budget of $2 in a company's of $10."""
    accounts = (
        Account("team", "team", 2 * NANO, None, window),
        Account("company", "company", 10 * NANO, None, "month"),
    )

    desk.write(lambda batch: [batch.register(each) for each in accounts]).result(30)
    return accounts


def demand(call_id: str, usd: float, **who: Any) -> Demand:
    about = Attribution(model="openai/gpt-4o-mini", **who)
    return Demand(call_id, ("team", "company"), (), Bound(round(usd * NANO), 10, 10), about)


def spend(desk: LedgerDesk, call_id: str, usd: float, **who: Any) -> None:
    desk.admit(demand(call_id, usd, **who)).result(30)
    desk.settle(call_id, Usage(round(usd * NANO), 7, 3)).result(30)


def test_chain_has_its_figures_and_what_was_refused_and_is_paused(desk: LedgerDesk) -> None:
    accounts = chain(desk)
    spend(desk, "a", 0.5, flow="fan-out", flow_run_id="r", item="x.md", deployment="d")
    spend(desk, "b", 0.25, flow="nightly", flow_run_id="s", task="review")
    with pytest.raises(OverBudget):
        desk.admit(demand("too dear", 1.5)).result(30)
    desk.admit(demand("waits", 1.6), pause_seconds=600)

    def paused() -> bool:
        found = read_statement("llm-team", accounts, desk, at=time.time())
        return found.budgets[0].paused == 1

    until(paused)
    found = read_statement("llm-team", accounts, desk, at=time.time())
    team, company = found.budgets
    assert (team.purse.spent_nano, company.purse.spent_nano) == (750_000_000, 750_000_000)
    assert team.refused is not None and abs(team.refused - time.time()) < 60
    assert (company.refused, company.paused) == (None, 0)
    assert len(found.days) == DAYS and found.days[-1][1].calls == 2
    assert not any(each.calls for _, each in found.days[:-1])
    assert [(name, each.spent_nano) for name, each in found.deployments] == [
        ("d", 500_000_000), (None, 250_000_000),
    ]  # fmt: skip
    assert [(each.flow, each.name) for each in found.pieces] == [
        ("fan-out", "x.md"), ("nightly", "review"),
    ]  # fmt: skip
    text = page(found, {})
    assert "- `team`: 1 call waits, paused until the ceiling is raised." in text
    assert "| `company` | month, " in text


def test_budget_of_each_run_is_broken_down_over_all_runs_of_the_last_days(
    desk: LedgerDesk,
) -> None:
    accounts = chain(desk, "run")
    for run in ("r", "s"):
        spend(desk, run, 0.5, flow="fan-out", flow_run_id=run, run_id=run, item="x.md")
    found = read_statement("llm-team", accounts, desk, at=time.time())
    assert not found.of_window
    assert [(name, each.calls) for name, each in found.models] == [("openai/gpt-4o-mini", 2)]
    assert [each.name for each in found.pieces] == ["x.md", "x.md"]


def test_budget_that_nobody_drew_on_is_a_page_too(desk: LedgerDesk) -> None:
    text = page(read_statement("new", chain(desk), desk, at=time.time()), {})
    assert "| `team` | day, " in text and "$0.00" in text and "Nothing was refused" in text


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(None, 86_400), (0, 3_600), (10, 3_600), (7_200, 7_200), (86_400 * 9, 86_400)],
)
def test_a_burst_at_the_begin_of_a_window_is_no_pace_of_a_day(
    age: float | None, seconds: float
) -> None:
    """$1 in ten seconds would be foretold as $8,640."""
    assert pace_seconds(age) == seconds
