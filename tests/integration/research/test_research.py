"""A research run end to end: a real Prefect server, a real provider whose model reads and plans."""

import json
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)

from prefect_governor import Budget, Governor, Limit, research
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.deep_research.agent.evidence import citations_in
from prefect_governor.flows.deep_research.agent.tools import tool_of
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.underway import CANCELLED
from tests.provider.answers.riddles import Riddle, World, make_world
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def notes(world: World, tmp_path: Path) -> Path:
    """The world's files in a folder."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in world.files.items():
        (folder / name).write_text(text)
    return folder


def options(notes: Path, **more: Any) -> dict[str, Any]:
    return {
        "corpus": ["*.md"], "folder": str(notes), "model": MODEL, "max_output_tokens": 400, **more
    }  # fmt: skip


def ask(question: str, notes: Path, **more: Any) -> ResearchReport:
    report = research(question, **options(notes, **more))
    assert isinstance(report, ResearchReport)
    return report


def plan(*tasks: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {
        "tasks": [
            {"id": name, "objective": objective, "depends_on": needs}
            for name, objective, needs in tasks
        ]
    }


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
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(report.run_id)]))
        )
        by_name = {run.name: run for run in runs}
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


def test_no_money_for_the_synthesis_is_said_before_anything_is_spent(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(reads=True)
    tasks = plan(("a", "What is x of y?", []), ("b", "What is x of z?", []))
    with pytest.raises(RunFailed, match="synthesis"):
        ask("Both?", notes, plan=tasks, max_usd="0.0001", max_rounds=0)
    assert upstream.settled_stats()["requests"] == 0


def test_a_task_spends_what_is_set_aside_for_it_and_no_more_and_its_rest_goes_back(
    upstream: ProviderProcess, world: World, notes: Path
) -> None:
    upstream.renew(reads=True)
    riddle = next(each for each in world.riddles if len(each.hops) == 1)
    tasks = plan(("poor", riddle.question, []), ("rich", riddle.question, []))
    poor, rich = tasks["tasks"]
    poor["max_usd"], rich["max_usd"] = "0.00000001", "0.4"
    report = ask(riddle.question, notes, plan=tasks, max_usd=1)
    states = {item.key: item.state for item in report.items}
    assert states == {"poor": "over_budget", "rich": "succeeded"}
    reasons = {item.key: item.reason for item in report.items}
    assert "'poor'" in (reasons["poor"] or "")
    assert report.items[0].calls == 0
    # Going on gives the poor one no second; with more money it is the same task, and is done. The
    # other is: what it had is not needed again.
    poor["max_usd"] = rich["max_usd"] = "0.6"
    requests = upstream.settled_stats()["requests"]
    token = current_control.set(Control(kept_as=report.run_id))
    try:
        again = ask(riddle.question, notes, plan=tasks, max_usd=1)
    finally:
        current_control.reset(token)
    assert {item.state for item in again.items} == {"succeeded"}
    assert upstream.settled_stats()["requests"] > requests
    assert again.items[1].calls == report.items[1].calls


def test_no_money_to_set_aside_for_a_task_is_said_before_anything_is_spent(
    upstream: ProviderProcess, notes: Path
) -> None:
    tasks = plan(("a", "Which word?", []), ("b", "Which other?", []))
    tasks["tasks"][0]["max_usd"] = 0.6
    tasks["tasks"][1]["max_usd"] = "0.5"
    with pytest.raises(RunFailed, match="no money for task 'b'"):
        ask("Which words?", notes, plan=tasks, max_usd=1)
    assert upstream.settled_stats()["requests"] == 0


def test_a_synthesis_that_is_tried_again_is_paid_from_what_the_run_has_left(
    upstream: ProviderProcess, notes: Path
) -> None:
    """What was set aside for it is one bound, which the attempt that failed keeps."""
    failing = {"status": 500, "text": "busy"}
    upstream.renew(script=[{"match": "^Question", "reply": [failing, failing, "all of it"]},
                           {"match": "Your task", "reply": "found"}])  # fmt: skip
    tasks = plan(("a", "first", []), ("b", "second", []))
    report = ask("Both?", notes, plan=tasks, max_rounds=0, max_usd="0.05")
    assert report.answer == "all of it" and report.outcome == "complete"
    assert report.budget.unconfirmed_usd > 0


def test_max_cost_multiple_refuses_a_plan_before_a_sub_agent_spends(
    upstream: ProviderProcess, notes: Path
) -> None:
    tasks = plan(*[(f"t{at}", "What is x of y?", []) for at in range(8)])
    with pytest.raises(ConfigurationError, match="max_cost_multiple"):
        ask("All?", notes, plan=tasks, max_cost_multiple=1.5)
    assert upstream.settled_stats()["requests"] == 0


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


def test_tools_and_agents_of_the_users_own(upstream: ProviderProcess, notes: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    def agent(task: Any, inputs: dict[str, str], governor: Any) -> dict[str, Any]:
        seen.append((task.id, inputs))
        reply = governor.completion(
            MODEL, [{"role": "user", "content": task.objective}], max_tokens=20
        )
        first = reply.choices[0].message.content
        return {"answer": f"{first} [notes-01.md:1]", "evidence": {"notes-01.md": [[1, 2]]}}

    tasks = plan(("a", "first", []), ("b", "second", ["a"]))
    report = ask("Both?", notes, plan=tasks, agent=agent, max_rounds=0)
    stats = upstream.settled_stats()
    assert [name for name, _ in seen] == ["a", "b"] and set(seen[1][1]) == {"a"}
    assert int(report.budget.spent_usd * 10**9) == stats["billed_nano"]
    assert [item.calls for item in report.items] == [1, 1]


def test_what_the_governors_tools_showed_an_agent_of_the_users_own_may_be_cited(
    upstream: ProviderProcess, notes: Path
) -> None:
    offered: dict[str, list[str]] = {}

    def agent(task: Any, inputs: dict[str, str], governor: Any) -> str:
        by_name = {each.__name__: each for each in governor.tools}
        offered[task.id] = sorted(by_name)
        if inputs:
            return str(by_name["read_result"]("a"))
        by_name["read"]("notes-01.md", first=1, last=2)
        return "seen [notes-01.md:1-2], never seen [notes-02.md:1]"

    def own(word: str) -> str:
        """A tool of the run."""
        return word

    tasks = plan(("a", "first", []), ("b", "second", ["a"]))
    report = ask("Both?", notes, plan=tasks, agent=agent, tools=[own], max_rounds=0)
    assert offered == {
        "a": ["own", "read", "search_corpus"], "b": ["own", "read", "read_result", "search_corpus"],
    }  # fmt: skip
    for item in report.items:
        assert item.result["answer"].strip() == "seen [notes-01.md:1-2], never seen"
        assert item.result["retrieved"] == {"notes-01.md": [[1, 2]]}


def test_a_tools_calls_are_never_more_at_once_than_the_limit_that_it_names(
    upstream: ProviderProcess, notes: Path
) -> None:
    Governor(
        budget=Budget(max_usd=1, window="total"),
        limits=[Limit(tag="llm", max_concurrent=8), Limit(tag="warehouse", max_concurrent=2)],
    ).save("with-a-tool", overwrite=True)
    at_work = most = calls = 0
    counting = threading.Lock()

    def in_stock(part: str) -> str:
        """How many of a part are in stock."""
        nonlocal at_work, most, calls
        with counting:
            at_work, calls = at_work + 1, calls + 1
            most = max(most, at_work)
        time.sleep(0.05)
        with counting:
            at_work -= 1
        return f"12 of {part}"

    asked = {"tool_calls": [{"name": "in_stock", "arguments": {"part": "A"}}] * 3}
    upstream.renew(script=[{"match": "Your task", "by": "turn", "reply": [asked, "twelve"]},
                           {"match": ".", "reply": "twelve of each"}])  # fmt: skip
    tasks = plan(*[(f"t{at}", "count", []) for at in range(4)])
    options: dict[str, Any] = {"plan": tasks, "governor": "with-a-tool", "max_rounds": 0}
    report = ask("How many?", notes, tools=[tool_of(in_stock, limit="warehouse")], **options)
    assert report.outcome == "complete" and (most, calls) == (2, 12)
    # The control: the same tool without a limit.
    most = calls = 0
    ask("How many?", notes, tools=[in_stock], **options)
    assert most > 2 and calls == 12
    with pytest.raises(ConfigurationError, match="no limit 'shop'"):
        ask("How many?", notes, tools=[tool_of(in_stock, limit="shop")], **options)


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
