"""The pure parts of a research run: prompts hold what they must and nothing else."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.offline.answering import read_messages
from prefect_governor.flows.agent.corpus import Extract
from prefect_governor.flows.agent.offline import excerpt_messages
from prefect_governor.flows.answers.found import json_of
from prefect_governor.flows.deep_research.finding import MOST_IN_PROMPT, Finding, Reference
from prefect_governor.flows.deep_research.lead import composed_answer
from prefect_governor.flows.deep_research.plan.by_rule import plan_by_rule
from prefect_governor.flows.deep_research.plan.plan import PlanTask, check_plan
from prefect_governor.flows.deep_research.prompts import (
    agent_messages,
    plan_messages,
    synthesis_messages,
)
from prefect_governor.flows.deep_research.request import make_inquiry
from prefect_governor.flows.deep_research.worth import check_worth, expected_multiple

TASK = PlanTask(id="b", objective="find the river", depends_on=("a",))


def test_an_agent_is_told_of_what_it_depends_on_and_of_nothing_else() -> None:
    told = agent_messages("Q?", TASK, {"a": Finding("a", "Rheinfeld")})[1]["content"]
    assert "find the river" in told and '<result task="a">\nRheinfeld' in told
    assert "result" not in agent_messages("Q?", TASK, {})[1]["content"]


def test_a_long_result_goes_by_reference() -> None:
    told = agent_messages("Q?", TASK, {"a": Finding("a", "x" * (MOST_IN_PROMPT + 1))})
    assert "read_result" in told[1]["content"]
    assert len(told[1]["content"]) < MOST_IN_PROMPT + 500


def test_a_finding_is_what_its_reference_leads_to(tmp_path: Path) -> None:
    finding = Finding("a", "Rheinfeld [x.md:1]", {"x.md": [[1, 3]]}, ("a note",))
    reference = Reference.to(finding, tmp_path)
    assert Finding.of_record(Path(reference.file).read_text()) == finding


def test_names_with_braces_do_not_break_the_plans_prompt() -> None:
    content = plan_messages("Q?", names=["{x}.md", "y.md"], most=5)[0]["content"]
    assert "{x}.md, y.md" in content and '{"tasks":' in content


def test_what_is_missing_stands_in_the_synthesis_and_in_what_stands_in_for_it() -> None:
    tasks = [PlanTask(id="a", objective="first"), PlanTask(id="b", objective="second")]
    findings = {"a": Finding("a", "seven")}
    told = synthesis_messages("Q?", tasks, findings, {"b": "it failed"})[1]["content"]
    assert "seven" in told and "- b (second): it failed" in told
    assert "- second (b): it failed" in composed_answer(tasks, findings, {"b": "it failed"})


@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```'])
def test_json_is_read_in_a_fence_too(text: str) -> None:
    assert json_of(text) == {"a": 1}


def test_the_offline_model_is_asked_of_passages_by_their_lines() -> None:
    found = [Extract("docs/a.md", 12, 13, "One.\nTwo."), Extract("b.md", 1, 1, "Three.")]
    (message,) = excerpt_messages("What?", found)
    ask, documents = read_messages([message])
    assert ask == "What?"
    assert [(each.key, each.text) for each in documents] == [
        ("docs/a.md:12-13", "One.\nTwo."), ("b.md:1-1", "Three."),
    ]  # fmt: skip


def test_a_question_is_cut_where_it_is_cut_already() -> None:
    plan = plan_by_rule("Who manages it? Where is it; how old is it?")
    assert [task.objective for task in plan.tasks] == [
        "Who manages it?", "Where is it", "how old is it?",
    ]  # fmt: skip
    assert len(plan_by_rule("one thing").tasks) == 1


def inquiry(**options: object):  # type: ignore[no-untyped-def]
    return make_inquiry("Q?", model="offline/extract", **options)  # type: ignore[arg-type]


def test_a_plan_of_more_agents_costs_a_larger_multiple() -> None:
    def multiple(count: int) -> float:
        tasks = [{"id": f"t{at}", "objective": "x"} for at in range(count)]
        return expected_multiple(inquiry(max_rounds=0), check_plan({"tasks": tasks}))

    assert multiple(1) == 1.0
    assert multiple(1) < multiple(3) < multiple(12)


def test_a_plan_over_the_multiple_is_refused_with_both_figures() -> None:
    tasks = [{"id": f"t{at}", "objective": "x"} for at in range(9)]
    with pytest.raises(ConfigurationError, match=r"about \d\.\d times.*max_cost_multiple 1"):
        check_worth(inquiry(max_cost_multiple=1.0), check_plan({"tasks": tasks}))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_tasks": 0}, "max_tasks"),
        ({"max_rounds": -1}, "max_rounds"),
        ({"max_cost_multiple": 0}, "max_cost_multiple"),
        ({"plan": {"tasks": []}}, "no tasks"),
        ({"plan": "nowhere.yaml"}, "cannot be read"),
        ({"agent": "no_such_module:agent"}, "cannot be imported"),
        ({"agent": "json"}, "package.module:name"),
        ({"tools": ["json:decoder"]}, "no function"),
        ({"corpus": ["no-such-file.md"]}, "no-such-file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_spent(
    options: dict[str, object], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        inquiry(**options)


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="question is empty"):
        make_inquiry("  ", model="offline/extract")
