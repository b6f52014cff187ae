"""Research runs killed at any instant, and gone on with: what was finished is never paid again."""

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prefect_governor.blocks.work.ledgers import desk
from tests.chaos.researches import (
    CAP,
    MODEL,
    Researcher,
    arguments,
    crashed_and_retried,
    deployed,
    plan_for,
    results,
    run_of,
    wait_for_calls,
)
from tests.provider.answers.riddles import make_world
from tests.provider.process import ProviderProcess

LATENCY = 0.25
QUESTION = "What of all of these?"

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    """A plan of chains and single facts over the world's files, a run of some seconds."""
    world = make_world()
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in world.files.items():
        (folder / name).write_text(text)
    (tmp_path / "plan.json").write_text(json.dumps(plan_for(world.riddles[:9])))
    return {
        "question": QUESTION,
        "corpus": [f"{folder}/*.md"],
        # As the command line has it, so that both name the files alike.
        "folder": os.getcwd(),
        "plan": str(tmp_path / "plan.json"),
        "model": MODEL,
        "max_concurrent": CAP,
        "max_output_tokens": 2000,
        "max_rounds": 0,
    }


@dataclass(frozen=True)
class Sent:
    """A run's calls at one instant at which nobody works on it: by their bodies those that finished
    (the ledger holds their replies), how many others were sent, and the last that was."""

    finished: "Counter[str]"
    in_flight: int
    last: int

    @classmethod
    def so_far(cls, upstream: ProviderProcess, run_id: str) -> "Sent":
        spent = {
            call.request_id
            for call in desk().store.read_calls(("spent",))
            if call.attribution.run_id == run_id
        }
        log = upstream.log()
        finished = [each["body_hash"] for each in log if each["request_id"] in spent]
        return cls(Counter(finished), len(log) - len(finished), len(log))

    def sent_since(self, upstream: ProviderProcess) -> list[dict[str, Any]]:
        return upstream.log()[self.last :]


def tasks_of(records: list[dict[str, Any]]) -> set[str | None]:
    """Which tasks calls were for, by the provider's records of them."""
    calls = desk().store.read_calls(("spent", "released", "unconfirmed", "reserved"))
    by_id = {call.request_id: call.attribution.item for call in calls}
    return {by_id[record["request_id"]] for record in records}


def _killed_and_gone_on_with(
    instants: int, upstream: ProviderProcess, researcher: Researcher, parameters: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    config = {"reads": True, "latency_seconds": LATENCY}
    upstream.renew(**config)
    out = tmp_path / "whole.md"
    researcher.start("cli", *arguments(parameters, out))
    assert researcher.ended() == 0
    whole, answer = results(run_of(out)), out.read_text()
    calls = upstream.settled_stats()["requests"]
    # Two tasks that ask the same are two calls.
    once = Counter(record["body_hash"] for record in upstream.log())
    chance = random.Random(11)
    repeated = written_before = finished_before = calls_before = in_flight = 0
    for at in range(instants):
        upstream.renew(**config)
        by_retry = at % 2 == 1
        out = tmp_path / f"answer-{at}.md"
        if by_retry:
            run_id = deployed(parameters)
            pid = researcher.start("run", str(run_id))
        else:
            pid = researcher.start("cli", *arguments(parameters, out))
        wait_for_calls(upstream, chance.randrange(1, calls))
        time.sleep(chance.random() * LATENCY)
        os.kill(pid, signal.SIGKILL)
        assert researcher.ended() == -signal.SIGKILL
        if not by_retry:
            run_id = UUID(run_of(out))
        kept = {key for key, _ in desk().store.read_items(str(run_id)) if ":" not in key}
        finished_before += len(kept)
        left = results(str(run_id))
        assert all(item in whole for item in left)
        # Those that were kept and not yet written as it was killed are few.
        assert {item["key"] for item in left} <= kept and len(kept) - len(left) <= CAP
        written_before += len(left)
        upstream.settled_stats()
        before = Sent.so_far(upstream, str(run_id))
        calls_before += before.finished.total()
        in_flight += before.in_flight
        if by_retry:
            crashed_and_retried(run_id)
            researcher.start("run", str(run_id))
        else:
            researcher.start("cli", "research", "--resume", str(run_id), "--out", str(out))
        assert researcher.ended() == 0
        upstream.settled_stats()
        after = Counter(record["body_hash"] for record in upstream.log())
        again = (after - once).total()
        repeated += again
        assert again <= before.in_flight <= CAP
        assert after >= once, (at, once - after, after - once)
        # What is sent after the kill is what had not finished: by what was asked, and by who asked.
        later = before.sent_since(upstream)
        asked_again = Counter(record["body_hash"] for record in later)
        assert asked_again <= once - before.finished, "a finished call was made again"
        assert not tasks_of(later) & kept, "a finished item called again"
        if by_retry:
            assert results(str(run_id)) == whole
        else:
            assert results(run_of(out)) == whole
            assert out.read_text() == answer
    print(
        f"{instants} instants, {calls} calls a run; before the kills {finished_before} tasks"
        f" ({written_before} of them in results.jsonl) and {calls_before} calls had finished and"
        f" {in_flight} were in flight; of finished ones 0"
        f" were made again, of those in flight {repeated}"
    )
    assert finished_before > 0 and written_before > 0 and calls_before > 0


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
