"""A dead key and a spent quota stop a run at once: whichever items and agents are still to come."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prefect_governor.flows.cli.main import main
from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"
CAP = 4
ITEMS = 40
FAULTS: dict[str, dict[str, Any]] = {
    "401": {"keys": ["another"]},
    "insufficient_quota": {"insufficient_quota": True},
}
# What each message names, and what it tells a person to do.
WORDS = {
    "401": ("openai refuses the key for openai/gpt-4o-mini (401)", "OPENAI_API_KEY"),
    "insufficient_quota": ("openai says that the account's quota is spent", "add credit"),
}

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def arguments(corpus: Corpus, tmp_path: Path) -> Callable[[str], list[str]]:
    """Of a fan-out over 40 items, of a research by a plan of 40 tasks, or by the lead's plan."""
    corpus(ITEMS)
    plan = {"tasks": [{"id": f"t{at:02}", "objective": f"Which word is {at}?"}
                      for at in range(ITEMS)]}  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    options = ["--model", MODEL, "--max-concurrent", str(CAP), "--json"]
    files = str(tmp_path / "corpus")
    given = {
        "fan-out": ["fan-out", files, "--ask", "Which word?", *options],
        "research": ["research", "Which words?", "--corpus", files, *options],
    }
    given["planned"] = [*given["research"], "--plan", str(tmp_path / "plan.json")]
    return given.__getitem__


def check(
    what: str, fault: str, upstream: ProviderProcess, status: int, stdout: str, stderr: str
) -> None:
    assert status == 1, stderr
    report = json.loads(stdout)
    requests = upstream.settled_stats()["requests"]
    print(f"{what}, {fault}: {requests} calls; {report['reason']}")
    assert 0 < requests <= (1 if what == "research" else CAP)
    assert report["outcome"] == "failed" and report["budget"]["spent_usd"] == 0
    assert report["budget"]["unconfirmed_usd"] == report["budget"]["reserved_usd"] == 0
    for words in WORDS[fault]:
        assert words in report["reason"], report["reason"]
    states = Counter(item["state"] for item in report["items"])
    assert states["not_started"] == len(report["items"]) - states["failed"]
    assert states["failed"] <= CAP
    assert "sk-test" not in stdout + stderr
    assert f"--resume {report['run_id']}" in stderr


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", ["fan-out", "research", "planned"])
def test_a_run_that_cannot_be_paid_stops_with_the_calls_in_flight(
    what: str, fault: str, upstream: ProviderProcess, arguments: Callable[[str], list[str]]
) -> None:
    upstream.renew(latency_seconds=0.2, **FAULTS[fault])
    result = CliRunner().invoke(main, arguments(what))
    check(what, fault, upstream, result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("what", "fault"), [("fan-out", "insufficient_quota"), ("planned", "401")]
)  # fmt: skip
def test_the_process_says_so_by_its_exit_status(
    what: str,
    fault: str,
    upstream: ProviderProcess,
    arguments: Callable[[str], list[str]],
    command: Callable[..., Any],
) -> None:
    upstream.renew(latency_seconds=0.2, **FAULTS[fault])
    process = command(*arguments(what))
    stdout, stderr = process.communicate(timeout=120)
    check(what, fault, upstream, process.returncode, stdout, stderr)


def test_without_the_breaker_every_item_would_fail_at_the_provider(
    upstream: ProviderProcess, arguments: Callable[[str], list[str]]
) -> None:
    """The control: a refusal that is an item's own ends no run, and all of them are sent."""
    upstream.renew(script={".": {"status": 403, "text": "not yours", "code": "forbidden"}})
    result = CliRunner().invoke(main, arguments("fan-out"))
    assert result.exit_code == 1
    assert upstream.settled_stats()["requests"] == ITEMS


def test_a_run_that_the_breaker_stopped_goes_on_once_the_key_is_good(
    upstream: ProviderProcess, arguments: Callable[[str], list[str]]
) -> None:
    upstream.renew(keys=["another"])
    stopped = CliRunner().invoke(main, arguments("planned"))
    assert stopped.exit_code == 1
    upstream.renew()
    run_id = json.loads(stopped.stdout)["run_id"]
    went_on = CliRunner().invoke(main, ["research", "--resume", run_id, "--json"])
    assert went_on.exit_code == 0, went_on.stderr
    assert {item["state"] for item in json.loads(went_on.stdout)["items"]} == {"succeeded"}
