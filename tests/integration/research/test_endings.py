"""What became of a research's answers is what its outcome says: agents', the lead's, the synthesis.

What has no answer is named wherever that matters, whatever its id is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import RunFailed
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.research.asking import ask, plan
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

CUT = {"text": "half an answ", "finish_reason": "length"}
TWO = plan(("a", "first", []), ("b", "second", []))


def go_on(
    first: ResearchReport, notes: Path, *, retry_failed: bool = False, **options: Any
) -> ResearchReport:
    token = current_control.set(Control(kept_as=first.run_id, retry_failed=retry_failed))
    try:
        return ask("All?", notes, **options)
    finally:
        current_control.reset(token)


def test_an_agent_whose_answer_did_not_end_well_has_found_nothing(
    upstream: ProviderProcess, notes: Path
) -> None:
    endings: dict[str, Any] = {
        "cut": CUT,
        "filtered": {"text": "x", "finish_reason": "content_filter"},
        "refused": {"refusal": "I cannot."},
        "empty": {"text": ""},
    }
    upstream.renew(
        script=[
            *(
                {"match": f"Your task: {kind}", "reply": [r, "found"]}
                for kind, r in endings.items()
            ),
            {"match": "Your task", "reply": "found"},
            {"match": "^Question", "reply": "a synthesis"},
        ]
    )
    tasks = plan(*((kind, kind, []) for kind in endings), ("fine", "fine", []))
    first = ask("All?", notes, plan=tasks, max_rounds=0)
    assert {item.key: item.state for item in first.items} == {
        **dict.fromkeys(endings, "failed"), "fine": "succeeded"
    }  # fmt: skip
    for item in first.items[:-1]:
        assert str(item.reason).startswith(f"{item.key}: ")
        assert f"({item.key}): {item.reason}" in str(first.answer)
    paid = upstream.settled_stats()["requests"]
    second = go_on(first, notes, plan=tasks, max_rounds=0)
    assert [item.reason for item in second.items] == [item.reason for item in first.items]
    assert upstream.settled_stats()["requests"] == paid
    third = go_on(first, notes, plan=tasks, max_rounds=0, retry_failed=True)
    assert third.outcome == "complete"
    # The four, and a synthesis of all five.
    assert upstream.settled_stats()["requests"] == paid + len(endings) + 1


def test_a_run_whose_synthesis_was_cut_is_not_complete(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(
        script=[
            {"match": "Your task", "reply": "found"},
            {"match": "^Question", "reply": [CUT, "all of it"]},
        ]
    )
    first = ask("All?", notes, plan=TWO, max_rounds=0)
    assert first.outcome == "partial"
    assert str(first.reason).startswith("the synthesis failed: cut: ")
    assert "half an answ" not in str(first.answer) and "## first" in str(first.answer)
    taken = go_on(first, notes, plan=TWO, max_rounds=0, accept=["cut"])
    assert (taken.outcome, taken.answer) == ("complete", "half an answ")
    assert any("the synthesis: cut: " in note for note in taken.notes)
    left = go_on(first, notes, plan=TWO, max_rounds=0)
    assert left.outcome == "partial"
    assert upstream.settled_stats()["requests"] == 3
    again = go_on(first, notes, plan=TWO, max_rounds=0, retry_failed=True)
    assert (again.outcome, again.answer) == ("complete", "all of it")
    assert upstream.settled_stats()["requests"] == 4


def test_a_lead_that_was_cut_is_not_asked_to_repair_it(
    upstream: ProviderProcess, notes: Path
) -> None:
    made = json.dumps(plan(("only", "What is it?", [])))
    cut = {"text": made[:-9], "finish_reason": "length"}
    upstream.renew(script={"cannot run": made, ".": cut})
    with pytest.raises(RunFailed, match=r"no plan: cut: .*--max-output-tokens"):
        ask("All?", notes)
    assert upstream.settled_stats()["requests"] == 1
    upstream.renew(
        script=[
            {"match": "cannot run", "reply": "{}"},
            {"match": "is succeeded", "reply": {"text": '{"add": [', "finish_reason": "length"}},
            {"match": "Your task", "reply": "found"},
            {"match": "^Question", "reply": "all of it"},
        ]
    )
    report = ask("All?", notes, plan=TWO, max_rounds=1)
    assert report.outcome == "complete"
    assert any("round 1 changed nothing: cut: " in note for note in report.notes)
    assert upstream.settled_stats()["requests"] == 4


def test_a_run_without_a_plan_says_so_first_with_what_the_lead_said(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(script={".": "I am sorry: I cannot plan that. " * 8})
    with pytest.raises(RunFailed) as failed:
        ask("All?", notes)
    message = str(failed.value)
    assert message.startswith("no plan: schema: what the lead said cannot run, after a repair: ")
    assert "; it said: I am sorry: I cannot plan that." in message and len(message) < 450
    assert " · this run $" in message
    billed = upstream.settled_stats()["billed_nano"]
    # No item was asked, and yet it cost.
    assert failed.value.report.run_usd * 10**9 == billed > 0


def test_a_larger_cap_asks_those_that_were_cut_and_neither_the_plan_nor_the_others(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(
        script=[
            {"match": "^All", "reply": json.dumps(TWO)},
            {"match": "Your task: first", "reply": "word " * 450},
            {"match": "Your task", "reply": "found"},
            {"match": "^Question", "reply": "all of it"},
        ]
    )
    first = ask("All?", notes, max_rounds=0)
    assert [item.state for item in first.items] == ["failed", "succeeded"]
    assert upstream.settled_stats()["requests"] == 4
    second = go_on(first, notes, max_rounds=0, retry_failed=True, max_output_tokens=800)
    assert second.outcome == "complete"
    # The one that was cut, and a synthesis of both.
    assert upstream.settled_stats()["requests"] == 6


def test_what_is_missing_is_named_whatever_its_id_is(
    upstream: ProviderProcess, notes: Path
) -> None:
    """The ids stand in the model's words by chance, and are parts of others."""
    upstream.renew(
        script=[
            {"match": "Your task: (lost|gone)", "reply": {"status": 400, "text": "no"}},
            {"match": "missing, which your answer says: cost, a$", "reply": "without them"},
            {"match": "Your task", "reply": "found"},
            {"match": "^Question", "reply": "At a cost of seven, a-b is all. (a) first."},
        ]
    )
    tasks = plan(
        ("a", "lost", []), ("cost", "gone", []), ("a-b", "second", []),
        ("last", "last", ["cost", "a", "a-b"]),
    )  # fmt: skip
    tasks["tasks"][3]["allow_partial"] = ["cost", "a"]
    report = ask("All?", notes, plan=tasks, max_rounds=0)
    assert report.outcome == "partial"
    answer = str(report.answer)
    for line in ("- lost (a): ", "- gone (cost): "):
        assert answer.count(line) == 1, answer
    assert "second (a-b)" not in answer
    # The agent was told, and so is whoever reads its finding.
    last = report.items[3]
    assert last.state == "succeeded" and last.result["answer"] == "without them"
    assert str(last.reason).startswith("answered without 'cost', 'a', which did not succeed")
