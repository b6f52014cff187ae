"""What is said to do next works, and its cost stands beside it."""

from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.flows.report.model import ItemReport, Outcome, Report
from prefect_governor.flows.run.advice import advised

RESUME = "prefect-governor fan-out --resume run-1"


def item(
    key: str, state: Any = "succeeded", reason: str | None = None, usd: str = "0"
) -> ItemReport:
    return ItemReport(
        key=key, state=state, reason=reason, usd=Decimal(usd), calls=1 if Decimal(usd) else 0
    )


def advice(*items: ItemReport, outcome: Outcome = "partial", **fields: Any) -> list[str]:
    given: dict[str, Any] = {"outcome": outcome, "resumable": True, **fields}
    report = Report(run_id="run-1", items=list(items), **given)
    return [str(each) for each in advised(report, command="fan-out", most_tokens=24).advice]


def test_nothing_is_to_be_done_where_all_is_there() -> None:
    assert advice(item("a"), outcome="complete") == []


def test_nothing_is_advised_of_a_run_that_cannot_be_taken_up_again() -> None:
    assert advice(item("a", "not_started", "stopped"), resumable=False) == []


def test_what_was_not_asked_is_asked_at_about_what_the_others_cost() -> None:
    (line,) = advice(
        item("a", usd="0.001"), item("b", usd="0.003"), item("c", "not_started", "stopped"),
        item("d", "failed", "InternalServerError (HTTP 500): no"),
    )  # fmt: skip
    assert line == (f"to go on: {RESUME}  (pays only for what is missing: 2 items, about $0.00400)")


def test_a_bad_answer_is_asked_anew_with_what_asks_it_anew_and_not_by_resume_alone() -> None:
    (line,) = advice(item("a", usd="0.001"), item("b", "failed", "schema: no JSON", usd="0.002"))
    assert line == (
        f"to ask 1 with a bad answer anew: {RESUME} --retry-failed"
        "  (pays for those: 1 item, about $0.00200)"
    )


def test_a_larger_cap_is_named_where_it_was_the_cap() -> None:
    going, anew = advice(
        item("a", "failed", "cut: the answer stopped", usd="0.002"),
        item("b", "over_budget", "no money"),
    )
    assert going.startswith(f"to go on: {RESUME}  (")
    assert f"{RESUME} --retry-failed --max-output-tokens 48  (pays for those: 2 items" in anew
    assert "as much again for longer answers" in anew
    (full,) = advice(item("a", "failed", "cut: the answer stopped where the model's context was"
                          " full (model_length): split the item", usd="0.002"))  # fmt: skip
    assert "--max-output-tokens" not in full


@pytest.mark.parametrize("kind", ["filtered", "refused"])
def test_what_was_withheld_is_asked_of_another_model(kind: str) -> None:
    (line,) = advice(item("a", "failed", f"{kind}: no", usd="0.001"))
    assert f"{RESUME} --retry-failed --model OTHER  (" in line


def test_the_leads_bad_answer_is_one_too() -> None:
    (plan,) = advice(outcome="failed", reason="no plan: empty: the model answered with nothing")
    assert plan == f"to ask the lead anew: {RESUME} --retry-failed  (pays for those)"
    (synthesis,) = advice(
        item("a", usd="0.001"), reason="the synthesis failed: cut: the answer stopped at the cap"
    )
    assert f"{RESUME} --retry-failed --max-output-tokens 48" in synthesis


def test_words_that_only_look_like_a_kind_are_none() -> None:
    (line,) = advice(item("a", "failed", "cutting: no"), item("b", "failed", "it was cut: no"))
    assert line.startswith("to go on: ")
