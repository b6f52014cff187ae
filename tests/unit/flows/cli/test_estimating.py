"""`estimate research …`: what a research would cost, its agents' tools among it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from prefect_governor.flows.cli.main import main

MODEL = ("--model", "openai/gpt-4o-mini")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="prefect-governor")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.chdir(tmp_path)


def forecast(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_research_is_estimated_by_the_name_that_a_fan_out_is_not_mistaken_for() -> None:
    asked = ("What is due?", *MODEL)
    expected = forecast("estimate", "research", *asked)
    assert expected == forecast("research", *asked, "--dry-run")
    assert expected["tasks"] == 3


def test_a_source_that_is_called_research_is_still_one(tmp_path: Path) -> None:
    for name in ("research", "fan-out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("Pay by Friday.")
    items = [
        forecast("estimate", *sources, "--ask", "When?", *MODEL)["items"]
        for sources in (["research"], ["fan-out", "fan-out"], ["fan-out", "research"])
    ]
    assert items == [1, 1, 1]


def test_tools_that_agents_are_told_of_at_every_call_are_in_a_researchs_estimate() -> None:
    asked = ("estimate", "research", "What is due?", *MODEL)
    bare, web = forecast(*asked), forecast(*asked, "--web")
    # Every call of an agent is told of two tools, which is more than a hundred tokens.
    agents = 3 * 8
    assert web["input_tokens"] - bare["input_tokens"] > agents * 100
    assert web["calls"] == bare["calls"]


def test_a_research_without_a_question_is_one_line() -> None:
    result = run("estimate", "research")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "say what is to be found out" in line


def test_help_of_either_names_its_own_arguments() -> None:
    assert "--corpus" in run("estimate", "research", "--help").stdout
    assert "--schema" in run("estimate", "fan-out", "--help").stdout
