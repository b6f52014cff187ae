"""Research runs killed at any instant, and gone on with: what was finished is never paid again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Crashed, Pending

from prefect_governor.blocks.office import desk
from prefect_governor.flows.background import ServerInfo
from prefect_governor.flows.inquiry.flow import research
from tests.integration.conftest import provider_process, server, upstream
from tests.provider.process import ProviderProcess
from tests.provider.riddles import make_world

__all__ = ["provider_process", "server", "upstream"]

MODEL = "openai/gpt-4o-mini"
CAP = 4
LATENCY = 0.25
QUESTION = "What of all of these?"

pytestmark = pytest.mark.usefixtures("server")


class Researcher:
    """See `tests.chaos.researcher`."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.researcher"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        assert self._line() == "ready"

    def start(self, *order: str) -> int:
        """Returns the child's process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """The child's exit status; a signal's number, negative."""
        return int(self._line())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._log.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline().strip()
            # What a run prints on stdout is not ours.
            if line == "ready" or line.lstrip("-").isdigit():
                return line
            assert self._process.poll() is None, self._log.name


@pytest.fixture
def researcher(
    server: ServerInfo, upstream: ProviderProcess, tmp_path: Path
) -> Iterator[Researcher]:
    made = Researcher(tmp_path / "researcher.log")
    yield made
    made.close()


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    """A plan of chains and single facts over the world's files, a run of some seconds."""
    world = make_world()
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in world.files.items():
        (folder / name).write_text(text)
    tasks = []
    for at, riddle in enumerate(world.riddles[:9]):
        for hop in riddle.hops:
            after = f"{hop.after}{at}" if hop.after else None
            of = hop.subject if after is None else f"the answer of task {after}"
            tasks.append(
                {
                    "id": f"{hop.id}{at}",
                    "objective": f"What is the {hop.relation} of {of}?",
                    "depends_on": [after] if after else [],
                }
            )
    (tmp_path / "plan.json").write_text(json.dumps({"tasks": tasks}))
    return {
        "question": QUESTION,
        "corpus": [f"{folder}/*.md"],
        # As the command line has it, so that both name the files alike.
        "folder": os.getcwd(),
        "plan": str(tmp_path / "plan.json"),
        "model": MODEL,
        "max_concurrent": CAP,
        "max_output_tokens": 400,
        "max_rounds": 0,
    }


def arguments(parameters: dict[str, Any], out: Path) -> list[str]:
    return [
        "research", parameters["question"], "--corpus", *parameters["corpus"],
        "--plan", parameters["plan"], "--model", MODEL, "--max-concurrent", str(CAP),
        "--max-output-tokens", "400", "--max-rounds", "0", "--out", str(out), "--json",
    ]  # fmt: skip


def results(run_id: str) -> list[dict[str, Any]]:
    """Key, state, result of each item of a run, in order."""
    from prefect_governor.blocks.home import state_folder

    lines = (state_folder() / "runs" / run_id / "results.jsonl").read_text().splitlines()
    return [{k: item[k] for k in ("key", "state", "result")} for item in map(json.loads, lines)]


def wait_for_calls(upstream: ProviderProcess, count: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while upstream.stats()["requests"] < count:
        assert time.monotonic() < deadline, upstream.stats()
        time.sleep(0.01)


def crashed_and_retried(run_id: UUID) -> None:
    """What a worker reports of a run whose process died, and what the UI's Retry sends."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Crashed(), force=True)
        answer = client.request(
            "POST",
            "/flow_runs/{id}/set_state",
            path_params={"id": run_id},
            json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": False},
        )
        assert answer.json()["status"] == "ACCEPT"


def _killed_and_gone_on_with(
    instants: int, upstream: ProviderProcess, researcher: Researcher, parameters: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    config = {"reads": True, "latency_seconds": LATENCY}
    upstream.renew(**config)
    out = tmp_path / "whole.md"
    researcher.start("cli", *arguments(parameters, out))
    assert researcher.ended() == 0
    whole, answer = results((tmp_path / "whole.md.run").read_text().strip()), out.read_text()
    calls = upstream.settled_stats()["requests"]
    # Two tasks that ask the same are two calls.
    once = Counter(record["body_hash"] for record in upstream.log())
    chance = random.Random(11)
    repeated = finished_before = 0
    for at in range(instants):
        upstream.renew(**config)
        by_retry = at % 2 == 1
        out = tmp_path / f"answer-{at}.md"
        if by_retry:
            with get_client(sync_client=True) as client:
                deployment = client.create_deployment(client.create_flow(research), "killed")
                run_id = client.create_flow_run_from_deployment(
                    deployment, parameters=parameters, state=Pending()
                ).id
            pid = researcher.start("run", str(run_id))
        else:
            pid = researcher.start("cli", *arguments(parameters, out))
        wait_for_calls(upstream, chance.randrange(1, calls))
        time.sleep(chance.random() * LATENCY)
        os.kill(pid, signal.SIGKILL)
        assert researcher.ended() == -signal.SIGKILL
        if not by_retry:
            run_id = UUID((tmp_path / f"answer-{at}.md.run").read_text().strip())
        kept = {key for key, _ in desk().store.read_items(str(run_id)) if ":" not in key}
        finished_before += len(kept)
        upstream.settled_stats()
        if by_retry:
            crashed_and_retried(run_id)
            researcher.start("run", str(run_id))
        else:
            researcher.start("cli", "research", "--resume", str(run_id), "--out", str(out))
        assert researcher.ended() == 0
        upstream.settled_stats()
        after = Counter(record["body_hash"] for record in upstream.log())
        again = sum((after - once).values())
        repeated += again
        assert again <= CAP, "no call that had ended was made again"
        assert after >= once, (at, once - after, after - once)
        if by_retry:
            assert results(str(run_id)) == whole
        else:
            assert results((tmp_path / f"answer-{at}.md.run").read_text().strip()) == whole
            assert out.read_text() == answer
    print(
        f"{instants} instants, {calls} calls a run, {finished_before} tasks finished before the"
        f" kills, {repeated} calls in flight made again"
    )
    assert finished_before > 0


def test_two_instants(
    upstream: ProviderProcess, researcher: Researcher, parameters: dict[str, Any], tmp_path: Path
) -> None:
    _killed_and_gone_on_with(2, upstream, researcher, parameters, tmp_path)


@pytest.mark.chaos
@pytest.mark.slow
def test_twenty_instants(
    upstream: ProviderProcess, researcher: Researcher, parameters: dict[str, Any], tmp_path: Path
) -> None:
    _killed_and_gone_on_with(20, upstream, researcher, parameters, tmp_path)
