"""What the command line says to do next is what works, and costs about what it says."""

import re
import shlex
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.states import Completed

from prefect_governor import fan_out, research
from tests.integration.cli.commands import run as run_command
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def next_command(stderr: str, what: str) -> tuple[list[str], str]:
    """The command that a run's end names, and what stands in brackets beside it."""
    found = re.search(rf"^{what}.*?: prefect-governor (.*?)  \((.*)\)$", stderr, re.MULTILINE)
    assert found is not None, stderr
    return shlex.split(found[1]), found[2]


def test_the_advice_that_is_printed_is_the_one_that_works(
    upstream: ProviderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("short", "long", "busy"):
        (tmp_path / f"{name}.txt").write_text(f"the text of {name}: nothing much")
    upstream.configure(
        script=[
            {"match": "of long:", "reply": "word " * 40},
            {"match": "of busy:", "reply": [{"status": 400, "text": "no"}, "an answer"]},
            {"match": "of short:", "reply": "an answer"},
        ]
    )
    names = ("long.txt", "busy.txt", "short.txt")
    options = ("--model", MODEL, "--max-output-tokens", "24")
    first = run_command("fan-out", *names, "--ask", "What?", *options)
    assert first.exit_code == 3
    assert "1 failed: cut: the answer stopped at the cap of 24" in first.stdout
    plain, cost = next_command(first.stderr, "to go on")
    assert re.fullmatch(r"pays only for what is missing: 1 item, about \$0\.0+\d+", cost)
    second = run_command(*plain)
    assert "2 succeeded, 1 failed" in second.stdout
    assert upstream.settled_stats()["requests"] == 4
    anew, cost = next_command(second.stderr, "to ask 1 with a bad answer anew")
    assert anew[-3:] == ["--retry-failed", "--max-output-tokens", "48"]
    assert re.fullmatch(r"pays for those: 1 item, about \$0\.0+\d+, and as much again .*", cost)
    assert "to go on: " not in second.stderr
    before = upstream.settled_stats()["billed_nano"]
    third = run_command(*anew)
    assert third.exit_code == 0, third.stderr
    assert "changed since: max_output_tokens\n" in third.stderr
    assert upstream.settled_stats()["requests"] == 5
    about = float(re.findall(r"\$([\d.]+)", cost)[0]) * 10**9
    paid = upstream.settled_stats()["billed_nano"] - before
    assert about <= paid <= 2 * about


def ended(run: FlowRun) -> str | None:
    """How a deployed run ends, as a worker runs it."""
    state = run_flow(fan_out, flow_run=run, parameters=run.parameters, return_type="state")
    assert isinstance(state, State)
    return state.name


def retried(client: SyncPrefectClient, run: FlowRun) -> str | None:
    """The same, once somebody has pressed Retry on its page."""
    reply = client.request(
        "POST",
        "/flow_runs/{id}/set_state",
        path_params={"id": run.id},
        json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}},
    )
    assert reply.json()["status"] == "ACCEPT"
    return ended(client.read_flow_run(run.id))


def test_a_retry_pays_for_no_bad_answer_twice_and_the_command_on_its_page_asks_it_anew(
    upstream: ProviderProcess, client: SyncPrefectClient, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    upstream.configure(
        script=[
            {"match": "of long:", "reply": "word " * 40},
            {"match": "of short:", "reply": "an answer"},
        ]
    )
    deployment = client.create_deployment(client.create_flow(fan_out), name="going-on")
    run = client.create_flow_run_from_deployment(
        deployment,
        parameters={
            "items": [
                {"key": name, "text": f"the text of {name}: n"} for name in ("long", "short")
            ],
            "ask": "What?",
            "model": MODEL,
            "max_output_tokens": 24,
        },
    )
    assert ended(run) == "Partial"
    assert upstream.settled_stats()["requests"] == 2
    assert retried(client, run) == "Partial"
    assert upstream.settled_stats()["requests"] == 2
    (page,) = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]),
            key=ArtifactFilterKey(like_="%summary"),
        ),
        limit=1,
    )
    anew = re.search(
        r"To ask 1 with a bad answer anew.*?: `prefect-governor (.*?)`", str(page.data)
    )
    assert anew is not None, page.data
    going_on = run_command(*shlex.split(anew[1]))
    assert going_on.exit_code == 0, going_on.stderr
    assert upstream.settled_stats()["requests"] == 3
    # What was asked on the command line is the run's own, so its page needs no other.
    assert retried(client, run) == "Partial"
    assert upstream.settled_stats()["requests"] == 3


@pytest.mark.parametrize(
    ("flow", "parameters", "why"),
    [
        (fan_out, {"ask": "What?"}, "it is Scheduled in Prefect, and two at once would both pay"),
        (research, {"question": "What?"}, "it is a flow run of 'research', not of `fan-out`"),
        (None, {}, "no run of that id"),
    ],
    ids=["under way", "another flow", "unknown"],
)
def test_what_is_no_run_to_go_on_with_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, client: SyncPrefectClient, flow: Any, parameters: Any, why: str
) -> None:
    run_id = uuid4()
    if flow is not None:
        deployment = client.create_deployment(client.create_flow(flow), name="no-run")
        made = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        run_id = made.id
    asked = run_command("fan-out", "--resume", str(run_id), "--retry-failed")
    assert asked.exit_code == 2
    assert why in asked.stderr
    assert upstream.settled_stats()["requests"] == 0


def test_a_run_that_was_given_code_is_gone_on_with_where_the_code_is(
    client: SyncPrefectClient,
) -> None:
    deployment = client.create_deployment(client.create_flow(research), name="with-code")
    given = {"question": "What?", "tools": [{}]}
    made = client.create_flow_run_from_deployment(
        deployment, parameters=given, state=Completed(name="Partial")
    )
    asked = run_command("research", "--resume", str(made.id), "--retry-failed")
    assert asked.exit_code == 2 and "`tools` were code of the program" in asked.stderr


def test_retry_failed_without_a_run_is_refused(upstream: ProviderProcess) -> None:
    asked = run_command("fan-out", "x", "--ask", "What?", "--model", MODEL, "--retry-failed")
    assert asked.exit_code == 2
    assert "--retry-failed goes with --resume RUN" in asked.stderr
    assert upstream.settled_stats()["requests"] == 0
