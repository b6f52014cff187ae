"""A run's own cost stands beside its ceiling's total, and is not taken for it."""

from decimal import Decimal

import pytest

from prefect_governor.flows.report.model import BudgetReport, ItemReport, Report
from prefect_governor.flows.report.publish import headline
from prefect_governor.flows.report.shown.amounts import places_for
from prefect_governor.flows.report.shown.spending import spending, when

RUN, USED, CEILING = Decimal("0.0113"), Decimal("1.93"), Decimal(5)


@pytest.mark.parametrize(
    ("label", "words"),
    [("2026-11-30", "today"), ("2026-11-30T14", "this hour"), ("2026-W49", "this week"),
     ("2026-11", "this month"), ("total", ""), ("run:1", ""), (None, "")],
)  # fmt: skip
def test_a_window_is_told_in_words(label: str | None, words: str) -> None:
    assert when(label) == words


def test_what_others_spent_of_the_ceiling_is_not_this_runs() -> None:
    told = spending(RUN, USED, CEILING, name="llm-team", window="2026-11-30")
    assert told == "this run $0.0113 · $1.93 of $5.00 in llm-team today"
    assert spending(RUN, USED, CEILING, name="a", window="total").endswith("$5.00 in a")


def test_a_ceiling_of_its_own_is_told_once() -> None:
    assert (
        spending(RUN, RUN, CEILING, name="this run", window="total") == "this run $0.0113 of $5.00"
    )
    assert spending(RUN, RUN, None) == "this run $0.0113"


def report(**budget: object) -> Report:
    items = [ItemReport(key="a", state="failed", reason="x " * 400, usd=Decimal("0.01"))]
    figures = BudgetReport.model_validate({"name": "llm-team", "window": "2026-11-30", **budget})
    return Report(run_id="1", outcome="failed", items=items, reason="y " * 400, budget=figures)


def test_the_state_tells_the_money_however_long_the_reason_is() -> None:
    told = headline(report(ceiling_usd=CEILING, spent_usd=USED, run_usd=RUN))
    assert len(told) <= 500
    assert told.endswith("… · this run $0.0113 · $1.93 of $5.00 in llm-team today")


def test_what_a_lead_cost_beside_the_items_is_the_runs_too() -> None:
    assert report(run_usd=Decimal("0.02")).run_usd == Decimal("0.02")
    assert report().run_usd == Decimal("0.01")


def test_json_has_the_figures_that_it_had() -> None:
    assert set(report(run_usd=RUN).to_json()["budget"]) == {
        "ceiling_usd", "spent_usd", "unconfirmed_usd", "reserved_usd",
    }  # fmt: skip
    assert "host" not in report().to_json()


@pytest.mark.parametrize(
    ("amounts", "places"),
    [(["0.000044", "0.0001245"], 6), (["1.5", "0.00004"], 5), (["2", "3"], 2), ([], 2),
     (["0.000000001"], 9), (["0"], 2)],
)  # fmt: skip
def test_a_column_of_amounts_rounds_none_to_nothing(amounts: list[str], places: int) -> None:
    assert places_for([Decimal(each) for each in amounts]) == places
