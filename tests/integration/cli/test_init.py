"""`prefect-governor init` on a real server: what it makes runs, and again it changes nothing."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from prefect_governor import Budget, Governor, Limit, Model
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import load_governor
from tests.integration.cli.commands import ended, run
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")

KINDS = ["budget", "governor", "model", "work pool", "deployment", "schedule"]
MODEL = "offline/extract"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two files in its docs."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("The ledger is a file. Every call is a row of it.")
    (docs / "two.md").write_text("A budget is a ceiling. It is never exceeded.")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(result: Result) -> dict[str, dict[str, Any]]:
    """What became of each thing."""
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [each["kind"] for each in told["things"]] == KINDS
    return {each["kind"]: each for each in told["things"]}


def documents(client: SyncPrefectClient, name: str) -> dict[str, Any]:
    """What the server has of it all, with when each was written last."""
    found: dict[str, Any] = {}
    for slug in ("governor-budget", "governor", "governor-model"):
        document = client.read_block_document_by_name(name, slug)
        found[slug] = (document.id, document.updated, document.data)
    deployment = client.read_deployment_by_name(f"fan-out/{name}")
    found["deployment"] = deployment.model_dump(mode="json", exclude={"status", "last_polled"})
    return found


def test_what_it_makes_runs_and_a_second_time_it_changes_nothing(
    name: str, folder: Path, client: SyncPrefectClient, warm: WarmParent
) -> None:
    # Two answers, and then nobody answers any more.
    first = run("init", name, "--pool", name, "--json", stdin=f"0.50\n{MODEL}\n")
    assert "[5.00]" in first.stderr
    things = made(first)
    assert {each["change"] for each in things.values()} == {"made"}
    for each in things.values():
        assert each["url"].startswith("http://127.0.0.1:")
    assert Budget.load(name).max_usd == Decimal("0.50")  # type: ignore[union-attr]
    assert Model.load(name).name == MODEL  # type: ignore[union-attr]

    before = documents(client, name)
    again = run("init", name, "--yes")
    assert again.exit_code == 0, again.output
    assert "nothing was changed" in again.stdout
    assert documents(client, name) == before

    deployment = client.read_deployment_by_name(f"fan-out/{name}")
    flow_run = client.create_flow_run_from_deployment(deployment.id)
    worker = subprocess.Popen(
        warm.command("-m", "prefect.engine", str(flow_run.id)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )
    output, _ = ended(worker)
    (ran,) = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
    )
    assert ran.state is not None
    assert ran.state.name == "Completed", output
    spent = budget_figures(load_governor(name).runtime, None)
    print(f"${spent.spent_usd} of ${spent.ceiling_usd}")
    assert spent.ceiling_usd == Decimal("0.50")
    # The offline model's nominal price is nobody's money.
    assert spent.spent_usd == 0


def test_other_answers_change_what_differs_and_leave_what_people_edited(
    name: str, folder: Path, client: SyncPrefectClient
) -> None:
    made(run("init", name, "--yes", "--json", "--model", MODEL, "--pool", name))
    governor = load_governor(name)
    governor.model_copy(
        update={"limits": [*governor.limits, Limit(tag="llm", requests_per_minute=9)]}
    ).save(name, overwrite=True)
    before = documents(client, name)

    things = made(
        run("init", name, "--yes", "--json", "--max-usd", "0.0015", "--max-concurrent", "3",
            "--schedule", "0 5 * * 1", "--ask", "What is unsafe?")
    )  # fmt: skip

    assert {kind: each["change"] for kind, each in things.items()} == {
        "budget": "changed", "governor": "changed", "model": "unchanged",
        "work pool": "unchanged", "deployment": "changed", "schedule": "changed",
    }  # fmt: skip
    assert things["budget"]["what"] == "max_usd 5 → 0.0015"
    assert "What is unsafe?" in things["deployment"]["what"]
    after = documents(client, name)
    assert after["governor-model"] == before["governor-model"]
    assert after["governor"][2]["limits"][0]["requests_per_minute"] == 9
    assert after["governor"][2]["max_concurrent"] == 3
    (schedule,) = after["deployment"]["schedules"]
    assert (schedule["schedule"]["cron"], schedule["active"]) == ("0 5 * * 1", True)
    parameters = after["deployment"]["parameters"]
    assert parameters == before["deployment"]["parameters"] | {"ask": "What is unsafe?"}
    # What is there is what is offered: a schedule that is on stays on.
    assert "nothing was changed" in run("init", name, "--yes").stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--max-usd", "much"], "--max-usd"),
        (["--schedule", "at six"], "--schedule 'at six' is no cron line"),
        (["--time-zone", "Berlin"], "--time-zone 'Berlin' is not known"),
        (["--max-concurrent", "0"], "--max-concurrent"),
        (["--source", "nowhere.txt"], "nowhere.txt"),
        (["--model", "openai/no-such-model"], "openai/no-such-model"),
        (["--pool", "Pool One"], "--pool 'Pool One'"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(
    name: str, folder: Path, client: SyncPrefectClient, options: list[str], told: str
) -> None:
    refused = run("init", name, "--yes", "--model", MODEL, *options, OPENAI_API_KEY="sk-test")
    assert refused.exit_code == 2, refused.output
    assert told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    with pytest.raises(ValueError, match="Unable to find block document"):
        Budget.load(name)


def test_governor_with_money_of_its_own_is_left_alone(name: str, folder: Path) -> None:
    Governor(budget=Budget(max_usd=3)).save(name)
    refused = run("init", name, "--yes", "--model", MODEL)
    assert refused.exit_code == 2, refused.output
    assert "has a budget of its own" in refused.stderr
    assert load_governor(name).budget.max_usd == 3


def test_closed_standard_input_takes_what_is_offered(
    name: str, folder: Path, warm: WarmParent
) -> None:
    process = subprocess.run(
        warm.command("-m", "prefect_governor.flows.cli", "init", name, "--model", MODEL),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert f"made       budget {name}: max_usd 5" in process.stdout
    assert "prefect worker start --pool governed --type process" in process.stdout
