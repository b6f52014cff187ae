"""A research that is gone on with: what its lead decided holds for what it was decided for, as long
as it can be done; and what has finished stands in a file before the others have."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.research.asking import ask, plan
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

ADDED = {"add": [{"id": "more", "objective": "third", "depends_on": ["a"]}], "cancel": []}
TASKS = plan(("a", "first", []), ("b", "second", []))


def scripted(upstream: ProviderProcess, *, changes: Any = ADDED, **slow: Any) -> None:
    """A lead that makes these changes, agents that find something."""
    upstream.renew(
        script=[
            {"match": r"is (succeeded|under way)", "reply": json.dumps(changes)},
            *({"match": f"Your task: {name}", "reply": reply} for name, reply in slow.items()),
            {"match": "Your task: (.*)", "reply": r"found \1", "expand": True},
            {"match": ".", "reply": "all of it"},
        ]
    )


def going_on(report: ResearchReport, notes: Path, **options: Any) -> ResearchReport:
    token = current_control.set(Control(kept_as=report.run_id))
    try:
        return ask("All?", notes, **options)
    finally:
        current_control.reset(token)


def told(report: ResearchReport) -> list[tuple[str, str, Any]]:
    return [(item.key, item.state, item.result) for item in report.items]


@pytest.mark.parametrize(
    "kept",
    [
        {"add": [{"id": "late", "objective": "x", "depends_on": ["nobody"]}], "cancel": []},
        {"add": [{"id": f"t{at}", "objective": "x"} for at in range(30)], "cancel": []},
    ],
    ids=["depends on nothing", "too many"],
)
def test_a_kept_round_that_cannot_run_is_said_and_asked_again(
    upstream: ProviderProcess, notes: Path, kept: Any
) -> None:
    scripted(upstream)
    first = ask("All?", notes, plan=TASKS, max_rounds=1)
    assert [item.key for item in first.items] == ["a", "b", "more"]
    (name,) = (
        input_hash
        for key, input_hash in desk().store.read_items(first.run_id)
        if key == "lead:round-1"
    )
    desk().write(
        lambda batch: batch.rows.put_item(first.run_id, "lead:round-1", name, json.dumps(kept))
    ).result()
    calls = upstream.settled_stats()["requests"]
    again = going_on(first, notes, plan=TASKS, max_rounds=1)
    assert told(again) == told(first) and again.answer == first.answer
    assert any("round 1 cannot run" in note for note in again.notes)
    # Its reply is kept by itself: nothing is paid for again.
    assert upstream.settled_stats()["requests"] == calls


def test_a_run_that_allows_no_rounds_makes_none_of_those_before(
    upstream: ProviderProcess, notes: Path
) -> None:
    scripted(upstream)
    first = ask("All?", notes, plan=TASKS, max_rounds=1)
    assert [item.key for item in going_on(first, notes, plan=TASKS, max_rounds=1).items] == [
        "a", "b", "more",
    ]  # fmt: skip
    again = going_on(first, notes, plan=TASKS, max_rounds=0)
    assert [item.key for item in again.items] == ["a", "b"]


def test_a_task_that_ran_on_as_the_lead_cancelled_it_is_not_cancelled_when_gone_on_with(
    upstream: ProviderProcess, notes: Path
) -> None:
    scripted(
        upstream,
        changes={"add": [], "cancel": ["slow", "late"]},
        slow={"text": "slowly", "latency_seconds": 2.0},
    )
    tasks = plan(("a", "first", []), ("slow", "slow", []), ("late", "last", ["slow"]))
    first = ask("All?", notes, plan=tasks, max_rounds=1)
    states = {item.key: item.state for item in first.items}
    assert states == {"a": "succeeded", "slow": "succeeded", "late": "not_started"}
    assert told(going_on(first, notes, plan=tasks, max_rounds=1)) == told(first)


def test_another_tool_of_the_same_name_is_another_question(
    upstream: ProviderProcess, notes: Path
) -> None:
    def stock() -> str:
        """What is in stock."""
        return "12"

    one = stock

    def stock() -> str:  # type: ignore[no-redef]
        """What is in stock."""
        return "13"

    scripted(upstream)
    first = ask("All?", notes, plan=TASKS, tools=[one], max_rounds=0)
    names = set(desk().store.read_items(first.run_id))
    going_on(first, notes, plan=TASKS, tools=[one], max_rounds=0)
    assert set(desk().store.read_items(first.run_id)) == names
    going_on(first, notes, plan=TASKS, tools=[stock], max_rounds=0)
    kept = [key for key, _ in desk().store.read_items(first.run_id)]
    assert kept.count("a") == kept.count("b") == 2


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ((PlanTask(id="a", objective="x", depends_on=("b",)),
          PlanTask(id="b", objective="x", depends_on=("a",))), "cycle: a -> b -> a"),
        ((PlanTask(id="a", objective="x", depends_on=("c",)),), "does not have"),
    ],
)  # fmt: skip
def test_a_plan_that_could_not_finish_is_refused_in_any_form(
    upstream: ProviderProcess, notes: Path, tasks: tuple[PlanTask, ...], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        ask("All?", notes, plan=Plan(tasks=tasks))
    assert upstream.settled_stats()["requests"] == 0


def test_what_has_finished_stands_in_the_results_file_while_others_work(
    upstream: ProviderProcess, notes: Path
) -> None:
    scripted(upstream, slow={"text": "slowly", "latency_seconds": 1.5},
             broken={"status": 400, "text": "no", "code": "invalid_request"})  # fmt: skip
    seen: list[list[str]] = []
    run: list[str] = []
    control = Control()

    def watch(now: Progress) -> None:
        path = state_folder() / "runs" / run[0] / "results.jsonl"
        seen.append(path.read_text().splitlines())

    control.started, control.watch = run.append, watch
    token = current_control.set(control)
    try:
        tasks = plan(("s", "slow", []), ("a", "first", []), ("x", "broken", []),
                     ("y", "after", ["x"]), ("z", "last", ["s"]))  # fmt: skip
        report = ask("All?", notes, plan=tasks, max_rounds=0)
    finally:
        current_control.reset(token)
    at_the_end = (state_folder() / "runs" / report.run_id / "results.jsonl").read_text()
    whole = at_the_end.splitlines()
    assert [json.loads(line)["key"] for line in whole] == ["s", "a", "x", "y", "z"]
    # In the form of the end, and before it; what was there stays, until the last look.
    assert any({json.loads(line)["key"] for line in lines} == {"a", "x", "y"} for lines in seen)
    for lines in seen:
        assert set(lines) <= set(whole)
    assert [len(lines) for lines in seen] == sorted(len(lines) for lines in seen)


def test_an_agent_cites_of_a_result_that_it_was_given_what_this_cites(
    upstream: ProviderProcess, notes: Path
) -> None:
    """And no line that only the agent before it was shown."""
    read = {"tool_calls": [{"name": "read", "arguments": {"source": "notes-01.md", "last": 6}}]}
    upstream.renew(
        script=[
            {"match": "Your task: first", "by": "turn",
             "reply": [read, "found [notes-01.md:1-3]"]},
            {"match": "Your task", "reply": "so [notes-01.md:2-5], so [notes-01.md:6]."},
            {"match": ".", "reply": "all: [notes-01.md:3] [notes-01.md:4]."},
        ]
    )  # fmt: skip
    report = ask("All?", notes, plan=plan(("a", "first", []), ("b", "then", ["a"])), max_rounds=0)
    assert report.items[0].result["retrieved"] == {"notes-01.md": [[1, 6]]}
    assert report.items[1].result == {
        "answer": "so [notes-01.md:2-3], so.",
        "retrieved": {"notes-01.md": [[1, 3]]},
    }
    reason = report.items[1].reason or ""
    assert "[notes-01.md:6]" in reason and "narrowed" in reason
    assert report.answer == "all: [notes-01.md:3]."
    assert any("[notes-01.md:4]" in note for note in report.notes)
