"""What every recipe must do, as a sub-agent of a research run and as a task of one's own."""

from pathlib import Path
from typing import Any

from prefect_governor import Report
from prefect_governor.flows.deep_research.report import ResearchReport
from tests.recipes.conftest import Recipe

DEPOTS = ("Aarhus", "Bergen", "Cork", "Dover", "Espoo", "Faro")
MOST_CHANGED_LINES = 3


def check_sub_agent(recipe: Recipe, folder: Path) -> None:
    """Six sub-agents, each with a turn of tools and one of words, and the synthesis of the run's
    own. What a tool showed may be cited, what nothing showed may not."""
    for depot in DEPOTS:
        (folder / f"{depot}.md").write_text(f"The depot of {depot}.\n\nIts manager is Ann.\n")
    recipe.provider.configure(
        script=[
            {"match": "^Question:", "reply": "Ann [Cork.md:3], says all."},
            {"match": "depot of (\\w+)", "by": "turn", "expand": True, "reply": [
                {"tool_calls": [
                    {"name": "read", "arguments": {"source": f"{depot}.md"}} for depot in DEPOTS[:3]
                ]},
                r"Ann [Cork.md:3] [\1.md:99]",
            ]},
        ]
    )  # fmt: skip
    plan = {"tasks": [
        {"id": depot, "objective": f"Who is the manager of the depot of {depot}?"}
        for depot in DEPOTS
    ]}  # fmt: skip
    report = recipe.names["look_up"](
        "Who are the managers?", ["*.md"], folder=str(folder), plan=plan, max_rounds=0,
        model="openai/gpt-4o-mini",
    )  # fmt: skip
    assert isinstance(report, ResearchReport)
    assert {item.state for item in report.items} == {"succeeded"}, report
    assert [item.calls for item in report.items] == [2] * len(DEPOTS)
    for item in report.items:
        result: Any = item.result
        assert result["answer"].strip() == "Ann [Cork.md:3]"
        assert set(result["retrieved"]) == {f"{depot}.md" for depot in DEPOTS[:3]}
    assert report.citations == ["[Cork.md:3]"]
    recipe.assert_spent_is_the_bill(requests=2 * len(DEPOTS) + 1)


def check_task(recipe: Recipe) -> None:
    """Eight tasks at once, each with two tool calls in its first turn."""
    recipe.provider.configure(tool_calls=2, tool_turns=1)
    report = recipe.names["ask_all"]([f"Is part {at} in stock?" for at in range(8)])
    assert isinstance(report, Report)
    assert report.outcome == "complete", report
    assert [item.calls for item in report.items] == [2] * 8
    recipe.assert_spent_is_the_bill(requests=16)


def check_changed_lines(recipe: Recipe) -> None:
    """What makes a client of the governor, and what bounds a call, stands on marked lines only."""
    agent = recipe.code[recipe.code.index("async def answer") : recipe.code.index("async def sub_")]
    marked = [line for line in agent.splitlines() if line.endswith("  # governed")]
    assert 0 < len(marked) <= MOST_CHANGED_LINES
    for word in ("governor.", "http_client", "max_retries", "max_tokens"):
        of_it = [line for line in agent.splitlines() if word in line]
        assert of_it and all(line in marked for line in of_it), of_it
