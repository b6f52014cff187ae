"""A research run end to end: a real Prefect server, a real provider whose model reads and plans."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
)

from prefect_governor import research
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.agent.evidence import citations_in
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.underway import CANCELLED
from tests.integration.recorded import task_runs
from tests.integration.research.asking import ask, plan
from tests.provider.answers.riddles import Riddle, World
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def plain(answer: str) -> str:
    """An answer without its citations."""
    for citation in citations_in(answer):
        answer = answer.replace(f" {citation}", "").replace(
            f" [{citation.source}:{citation.first}]", ""
        )
    return answer.strip()


def wrong(riddle: Riddle, report: ResearchReport, world: World) -> str | None:
    """What is wrong with a report's answer, None where nothing is."""
    if plain(report.answer or "") != riddle.answer:
        return f"{riddle.question} {riddle.answer!r} != {report.answer!r}: {report.reason}"
    for citation in citations_in(report.answer or ""):
        line = world.files[citation.source].split("\n")[citation.first - 1]
        if not any(part in line for part in riddle.answer.split("; ")):
            return f"{citation} does not hold {riddle.answer!r}: {line!r}"
    return None if report.citations else "nothing is cited"


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_questions_are_answered_with_the_lines_that_hold_the_answer(
    upstream: ProviderProcess, world: World, notes: Path, hops: int
) -> None:
    upstream.renew(reads=True)
    for riddle in [each for each in world.riddles if len(each.hops) == hops][:2]:
        assert wrong(riddle, ask(riddle.question, notes), world) is None


def test_the_bill_is_what_was_spent_and_the_arrows_are_drawn(
    upstream: ProviderProcess, world: World, notes: Path
) -> None:
    upstream.renew(reads=True)
    riddle = next(each for each in world.riddles if len(each.hops) == 3)
    report = ask(riddle.question, notes, max_usd="1")
    stats = upstream.settled_stats()
    assert int(report.budget.spent_usd * 10**9) == stats["billed_nano"]
    assert report.cost_multiple is not None and report.cost_multiple > 1
    with get_client(sync_client=True) as client:
        # The plan, three sub-questions, two more looks at what was found, the synthesis.
        by_name = task_runs(client, report.run_id, 7)
        inputs = {
            name: {str(getattr(each, "id", None)) for each in run.task_inputs.get("inputs", [])}
            for name, run in by_name.items()
        }
        assert inputs["town"] == {str(by_name["manager"].id)}
        assert inputs["river"] == {str(by_name["town"].id)}
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(report.run_id)])
            )
        )
    keys = {artifact.key for artifact in artifacts}
    assert {"plan", "graph", "answer", "summary", "items"} <= {
        key.removeprefix("research-") for key in keys if key
    }


def test_a_task_that_fails_takes_its_dependants_with_it_by_name_and_nobody_else(
    upstream: ProviderProcess, notes: Path, world: World
) -> None:
    (depot, person) = next(
        (subject, value) for (relation, subject), value in world.facts.items()
        if relation == "manager"
    )  # fmt: skip
    upstream.renew(
        reads=True,
        script={"Your task: break": {"status": 400, "text": "no", "code": "invalid_request"}},
    )
    report = ask(
        "What of the depot?",
        notes,
        plan=plan(
            ("who", f"What is the manager of {depot}?", []),
            ("bad", "break", []),
            ("after", "What is the home town of the answer of task bad?", ["bad"]),
            ("town", "What is the home town of the answer of task who?", ["who"]),
        ),
        max_rounds=0,
    )
    states = {item.key: item.state for item in report.items}
    assert states == {
        "who": "succeeded", "bad": "failed", "after": "skipped", "town": "succeeded",
    }  # fmt: skip
    assert report.outcome == "partial"
    after = next(item for item in report.items if item.key == "after")
    assert after.reason is not None and "'bad'" in after.reason
    assert "bad" in (report.answer or "") and "after" in (report.answer or "")
    assert person.split()[0] in json.dumps([item.to_json() for item in report.items])


def test_a_plan_that_cannot_run_fails_before_a_sub_agent_spends(
    upstream: ProviderProcess, notes: Path
) -> None:
    looped = json.dumps(plan(("a", "x", ["b"]), ("b", "y", ["a"])))
    upstream.renew(script={".": looped})
    with pytest.raises(RunFailed, match="cycle") as caught:
        ask("Who?", notes)
    assert upstream.settled_stats()["requests"] == 2
    assert caught.value.report.items == []
    upstream.renew()
    with pytest.raises(ConfigurationError, match="cycle"):
        ask("Who?", notes, plan=json.loads(looped))
    assert upstream.settled_stats()["requests"] == 0


def test_a_bad_plan_goes_back_once_with_what_is_wrong_with_it(
    upstream: ProviderProcess, notes: Path
) -> None:
    good = json.dumps(plan(("only", "What is the mood of nobody?", [])))
    upstream.renew(script={"The plan cannot run": good, "Who": "no JSON at all"})
    report = ask("Who?", notes)
    assert [item.key for item in report.items] == ["only"]


def test_a_citation_that_matches_nothing_retrieved_is_removed_and_said(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(script={"Your task": "It is 7 [notes-01.md:1-2] and 8 [made-up.md:3]."})
    report = ask("How many?", notes, plan=plan(("only", "count", [])))
    assert report.answer == "It is 7 and 8."
    reason = report.items[0].reason or ""
    assert "[made-up.md:3]" in reason and "never retrieved" in reason


def test_the_lead_adds_and_cancels_while_others_run(upstream: ProviderProcess, notes: Path) -> None:
    added = {
        "add": [{"id": "more", "objective": "third", "depends_on": ["a"]}], "cancel": ["late"]
    }  # fmt: skip
    upstream.renew(
        script=[
            {"match": "a \\(first\\) is succeeded", "reply": [json.dumps(added), "{}"]},
            {"match": "is under way", "reply": "{}"},
            {"match": "Your task: slow", "reply": {"text": "slowly", "latency_seconds": 2.0}},
            {"match": "Your task", "reply": "found"},
            {"match": ".", "reply": "all of it"},
        ]
    )
    tasks = plan(("a", "first", []), ("slow", "slow", []), ("late", "last", ["slow"]))
    report = ask("Everything?", notes, plan=tasks)
    states = {item.key: item.state for item in report.items}
    assert states == {
        "a": "succeeded", "slow": "succeeded", "late": "not_started", "more": "succeeded",
    }  # fmt: skip
    assert any("added: more" in note for note in report.notes)


def test_a_dead_key_stops_the_run_at_once_and_says_what_to_do(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(keys=["another"], latency_seconds=0.2)
    tasks = plan(*[(f"t{at}", "What is x of y?", []) for at in range(30)])
    with pytest.raises(RunFailed) as caught:
        ask("All?", notes, plan=tasks, max_rounds=0, max_concurrent=4)
    report = caught.value.report
    assert upstream.settled_stats()["requests"] <= 4
    assert "401" in str(caught.value) or "key" in str(caught.value)
    counts = Counter(item.state for item in report.items)
    assert counts["not_started"] >= 26


def test_a_research_that_is_cancelled_reports_what_is_there_and_charges_what_is_in_flight(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(
        script={
            "Your task: quick": "found",
            "Your task: slow": {"text": "slowly", "latency_seconds": 60},
        }
    )
    control = Control()

    def watch(now: Progress) -> None:
        if now.done and now.in_flight:
            # As Ctrl-C, twice.
            control.interrupted = True
            control.stop.set()
            control.abort.set()

    control.watch = watch
    token = current_control.set(control)
    try:
        tasks = plan(("a", "quick", []), ("b", "slow", []), ("c", "late", ["b"]))
        report = ask("All?", notes, plan=tasks, max_rounds=0)
    finally:
        current_control.reset(token)
    states = {item.key: (item.state, item.reason) for item in report.items}
    assert states["a"] == ("succeeded", None)
    assert states["b"] == ("failed", CANCELLED)
    # By which of the two it was caught first.
    assert states["c"][0] in ("skipped", "not_started") and states["c"][1]
    assert report.outcome == "partial" and "found" in (report.answer or "")
    assert report.budget.unconfirmed_usd > 0 and report.budget.reserved_usd == 0


def test_offline_the_question_is_cut_by_rule_and_the_lines_are_cited(notes: Path) -> None:
    report = research(
        "What is the stock of the depots?; Who is the manager of the depots?",
        corpus=["*.md"], folder=str(notes), model="offline/extract",
    )  # fmt: skip
    assert report.outcome == "complete" and len(report.items) == 2
    assert report.citations
    assert any("by rule" in note for note in report.notes)
    # A call for each part, and none for a lead.
    assert report.budget.spent_usd == sum(item.usd for item in report.items) > Decimal(0)
