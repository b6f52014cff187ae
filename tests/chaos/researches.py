"""Research runs in processes that a test kills: how they are started, and what came of them."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Crashed, Pending

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.research_flow import research
from tests.provider.answers.riddles import Riddle
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.warm import WarmParent

MODEL = "openai/gpt-4o-mini"
CAP = 4


class Researcher:
    """See `tests.chaos.researcher`. `environment` is what reaches the provider."""

    def __init__(self, warm: WarmParent, log: IO[Any], environment: Mapping[str, str]) -> None:
        self._talk = Talk(
            warm.command("-m", "tests.chaos.researcher"),
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        assert self._talk.hear(240) == "ready"

    def start(self, *order: str) -> int:
        """Returns the child's process id."""
        self._talk.say(order)
        return int(self._talk.hear())

    def ended(self) -> int:
        """The child's exit status; a signal's number, negative."""
        return int(self._talk.hear(120))

    def close(self) -> None:
        self._talk.close()


def plan_for(riddles: "list[Riddle] | tuple[Riddle, ...]", *, named: str = "") -> dict[str, Any]:
    """Chains and single facts; `named` begins each task's id."""
    tasks = []
    for at, riddle in enumerate(riddles):
        for hop in riddle.hops:
            after = f"{named}{hop.after}{at}" if hop.after else None
            of = hop.subject if after is None else f"the answer of task {after}"
            tasks.append(
                {
                    "id": f"{named}{hop.id}{at}",
                    "objective": f"What is the {hop.relation} of {of}?",
                    "depends_on": [after] if after else [],
                }
            )
    return {"tasks": tasks}


def arguments(parameters: Mapping[str, Any], out: Path) -> list[str]:
    """Of the command line, for a flow's parameters."""
    return [
        "research", parameters["question"], "--corpus", *parameters["corpus"],
        "--plan", parameters["plan"], "--model", MODEL, "--max-concurrent", str(CAP),
        "--max-output-tokens", "2000", "--max-rounds", str(parameters["max_rounds"]),
        "--out", str(out), "--json",
    ]  # fmt: skip


def run_of(out: Path) -> str:
    """The id of the run whose answer goes to `out`, once it has begun."""
    return out.with_name(f"{out.name}.run").read_text().strip()


def results(run_id: str) -> list[dict[str, Any]]:
    """Key, state, result of each item of a run, in order: all of them, or those that had finished
    when it was killed."""
    lines = (state_folder() / "runs" / run_id / "results.jsonl").read_text().splitlines()
    return [{k: item[k] for k in ("key", "state", "result")} for item in map(json.loads, lines)]


def wait_for_calls(upstream: ProviderProcess, count: int, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while upstream.stats()["requests"] < count:
        assert time.monotonic() < deadline, upstream.stats()
        time.sleep(0.01)


def deployed(parameters: Mapping[str, Any]) -> UUID:
    """A flow run that a worker has taken."""
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(research), "killed")
        return client.create_flow_run_from_deployment(
            deployment, parameters=dict(parameters), state=Pending()
        ).id


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
