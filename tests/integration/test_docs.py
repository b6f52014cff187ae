"""Every example that the README and the docs print is run."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prefect_governor import Report
from prefect_governor.flows.cli.main import main
from tests import ROOT
from tests.integration.fan_out.repositories import PASSING, make_repository
from tests.provider.process import ProviderProcess
from tests.samples.pdf import pdf
from tests.unit.flows.mcp.offering import Offering, offered

# Its examples need packages that are not installed by default: `tests/recipes` runs them.
ELSEWHERE = {"agents-of-your-own.md"}
PAGES = sorted(
    page
    for page in (
        ROOT / "README.md", *ROOT.glob("docs/how-to/**/*.md"), *ROOT.glob("docs/reference/*.md")
    )
    if page.name not in ELSEWHERE
)  # fmt: skip
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("server")


def examples(page: Path, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(page.read_text()) if found == language]


@pytest.fixture
def answering(upstream: ProviderProcess) -> ProviderProcess:
    """A provider that answers as the examples expect."""
    plan = {
        "tasks": [{"id": "who", "objective": "Who pays?"}, {"id": "when", "objective": "When?"}]
    }
    # The lead is asked the bare question of the README.
    asked = "^(Who pays for a call|What is short|Which region)"
    script = {asked: json.dumps(plan), "is succeeded": "{}"}
    upstream.configure(output_tokens=8, script=script)
    return upstream


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(page: Path, answering: ProviderProcess) -> None:
    names: dict[str, Any] = {"__name__": f"example_{page.stem}"}
    for code in examples(page, "python"):
        exec(compile(code, str(page), "exec"), names)
    if page.name == "README.md":
        report = names["review_all"](["a text", "another", "a third"])
        assert isinstance(report, Report)
        assert report.outcome == "complete"
        assert [item.calls for item in report.items] == [1, 1, 1]
        assert sum(item.usd for item in report.items) > 0
        assert names["classify"]("a text")
        assert {item.state for item in names["report"].items} == {"succeeded"}
        assert [item.key for item in names["found"].items] == ["who", "when"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_examples_run(
    page: Path,
    answering: ProviderProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    commands = [
        line
        for code in examples(page, "sh")
        for line in code.splitlines()
        if line.startswith("prefect-governor ")
    ]
    _sample_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if any("--mcp" in line for line in commands):
        depot = request.getfixturevalue("depot")
        (tmp_path / "mcp.json").write_text(json.dumps(depot.configuration()))
    for line in commands:
        if "python" in line.partition("--tools")[2]:
            request.getfixturevalue("sandboxes")
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        # The doctor also sees what other tests left on the server, broken on purpose.
        fine = (0, 1) if line.endswith("doctor") else (0,)
        assert result.exit_code in fine, f"{line}\n{result.output}"
        assert result.stdout.strip()


@pytest.fixture
def depot() -> Iterator[Offering]:
    """A server of MCP."""
    with offered() as offering:
        yield offering


def _sample_files(folder: Path) -> None:
    """What the examples name."""
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.png"))
    (plan,) = examples(ROOT / "docs" / "how-to" / "research.md", "yaml")
    (folder / "plan.yaml").write_text(plan)
    (folder / "contracts").mkdir()
    (folder / "contracts" / "lease.pdf").write_bytes(pdf("This lease is under Danish law."))
    (folder / "tickets.csv").write_text("key,text\nT-1,the printer is on fire\nT-2,no network\n")
    (folder / "sales").mkdir()
    (folder / "sales" / "2026.csv").write_text("id,region,sold\n1,north,12\n2,south,30\n")
    (folder / "orders").mkdir()
    (folder / "orders" / "o-1.txt").write_text("Twelve of part A, by Friday.")
    make_repository(folder / "repos" / "adding", PASSING)
    (folder / "usage.csv").write_text("request_id,model,cost_usd\nreq_1,gpt-4o-mini,0.0004\n")
    (folder / "team.json").write_text(
        '{"title": "Team", "type": "object", "properties": {"team": {"type": "string"}},'
        ' "required": ["team"]}'
    )
