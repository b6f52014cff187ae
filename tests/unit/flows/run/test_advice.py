"""What is said to do next works, and its cost stands beside it."""

from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.flows.report.model import ItemReport, Outcome, Report, Tokens
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


def over(key: str, budget: str, need: str = "$0.00300", left: str = "$0.00100") -> ItemReport:
    """As the ledger refuses."""
    return item(
        key, "over_budget",
        f"needs {need}, {left} of the $0.0100 ceiling of budget {budget!r} is left"
        " (window 2026-11-30: $0.00900 spent); raise the ceiling to go on",
    )  # fmt: skip


def test_what_is_missing_says_by_how_much_the_budget_that_refused_is_raised() -> None:
    done = [item(f"d{at}", usd="0.002") for at in range(4)]
    refused = [over(f"o{at}", "the team's") for at in range(5)]
    first, second = advice(*done, *refused)
    # 5 at 0.002 each, 0.001 more for the most that the last may cost, less what is left.
    assert first == (
        "5 items were refused: about $0.0100 more finishes the 5 items that are missing:"
        """ prefect-governor budget raise 'the team'"'"'s' +0.01"""
        "  (by what 4 items took on average; with room for the most that one call may take)"
    )
    assert second.startswith(f"to go on: {RESUME}  (pays only for what is missing: 5 items, about")


def test_where_nothing_succeeded_a_ceiling_is_raised_by_bounds() -> None:
    (first, _) = advice(over("a", "llm-team"), over("b", "llm-team", "$0.00512"), outcome="failed")
    assert "about $0.00812 more finishes the 2 items that are missing" in first
    assert "budget raise llm-team +0.0072  (by the most that a call of each may take;" in first


def test_a_ceiling_of_the_runs_own_is_raised_as_it_goes_on() -> None:
    budget = {"ceiling_usd": "0.01", "spent_usd": "0.009", "name": "this run"}
    (line,) = advice(item("d", usd="0.002"), over("a", "this run"), budget=budget)
    assert f"missing: {RESUME} --max-usd 0.012  (" in line
    assert line.startswith("1 item was refused: about $0.00200 more finishes the 1 item that is")


def test_tokens_are_raised_as_tokens() -> None:
    reason = (
        "needs 1,500 tokens, 200 tokens of the 9,000 tokens ceiling of budget 'llm-team' is left"
        " (window total); raise the ceiling to go on"
    )
    done = ItemReport(key="d", state="succeeded", tokens=Tokens(input=900, output=100), calls=1)
    first, _ = advice(done, item("a", "over_budget", reason), item("b", "over_budget", reason))
    assert "about 2,000 tokens more finishes the 2 items" in first
    assert "budget raise llm-team --tokens +2300  (" in first


def test_each_budget_that_refused_is_raised() -> None:
    lines = advice(over("a", "one"), over("b", "two"), over("c", "two"), outcome="failed")
    assert [("raise two" in line, "raise one" in line) for line in lines[:2]] == [
        (True, False), (False, True),
    ]  # fmt: skip


@pytest.mark.parametrize("usd", ["0.000000001", "0.1", "12"])
def test_a_raise_covers_what_is_missing_to_the_last_call(usd: str) -> None:
    each = Decimal(usd)
    done = [item("d", usd=usd)]
    missing = [over(f"o{at}", "b", f"${each * 3:f}", "$0.00") for at in range(7)]
    first, _ = advice(*done, *missing)
    step = Decimal(first.partition("+")[2].split()[0])
    # Six that cost as much, and the last at its bound.
    assert each * 9 <= step <= each * 10


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
