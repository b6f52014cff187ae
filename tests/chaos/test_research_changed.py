"""Research runs that are killed and gone on with another question, corpus or plan than before: the
report is a fresh run's, and nothing that a lead decided for what was asked before is in it."""

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
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

LATENCY = 0.1
# In a round the lead adds what follows of the first manager.
QUESTIONS = ("Who, where, and what follows?", "Who and where, again, and what follows?")
ROUND = "lead:round-1"

pytestmark = pytest.mark.usefixtures("server")


@dataclass
class Desktop:
    """What a person has: a question, a folder of notes and a plan, any of which may change."""

    folder: Path
    question: str = QUESTIONS[0]

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._world = make_world()
        self._turned = 0
        self.write_notes(0)
        self.write_plan("")

    def write_notes(self, turned: int) -> None:
        """The world's notes, with people's home towns moved on by so many places."""
        towns = sorted({value for (what, _), value in self._world.facts.items()
                        if what == "home town"})  # fmt: skip

        def moved(match: "re.Match[str]") -> str:
            return f"{match[1]}{towns[(towns.index(match[2]) + turned) % len(towns)]}."

        for name, text in self._world.files.items():
            moved_on = re.sub(r"(The home town of .+ is )(\w+)\.", moved, text)
            (self.folder / name).write_text(moved_on)

    def write_plan(self, named: str) -> None:
        plan = plan_for(self._world.riddles[:4], named=named)
        self.plan.write_text(json.dumps(plan))

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "corpus": [f"{self.folder}/*.md"],
            "folder": os.getcwd(),
            "plan": str(self.plan),
            "model": MODEL,
            "max_concurrent": CAP,
            "max_output_tokens": 2000,
            "max_rounds": 1,
        }


def _ask_something_else(desktop: Desktop) -> None:
    desktop.question = QUESTIONS[1]


def _rewrite_the_notes(desktop: Desktop) -> None:
    desktop.write_notes(1)


def _rewrite_the_plan(desktop: Desktop) -> None:
    # What the lead added depends on a task that is there no more.
    desktop.write_plan("new_")


CHANGES = (_ask_something_else, _rewrite_the_notes, _rewrite_the_plan)
Change = Callable[[Desktop], None]


def rounds_kept(run_id: str) -> int:
    return sum(key == ROUND for key, _ in desk().store.read_items(run_id))


def wait_for_a_round(out: Path, run_id: str | None, count: int) -> None:
    """Until so many rounds are kept for a run, the one that goes to `out` where it has no name."""
    deadline = time.monotonic() + 60
    while True:
        if run_id is None and out.with_name(f"{out.name}.run").exists():
            run_id = run_of(out)
        if run_id is not None and rounds_kept(run_id) >= count:
            return
        assert time.monotonic() < deadline, f"the lead decided {count - 1} times"
        time.sleep(0.01)


def kill(researcher: Researcher, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert researcher.ended() == -signal.SIGKILL


def a_fresh_run(
    researcher: Researcher, desktop: Desktop, out: Path
) -> tuple[list[dict[str, Any]], str]:
    researcher.start("cli", *arguments(desktop.parameters, out))
    assert researcher.ended() == 0
    found = results(run_of(out))
    assert found[-1]["key"] == "more" and all(item["state"] == "succeeded" for item in found)
    return found, out.read_text()


def test_what_the_lead_decided_for_another_question_corpus_or_plan_is_not_done_again(
    upstream: ProviderProcess, researcher: Researcher, tmp_path: Path
) -> None:
    """One run, killed once its lead has decided, three times, and each time gone on with something
    else."""
    upstream.renew(reads=True, latency_seconds=LATENCY)
    desktop = Desktop(tmp_path / "desk")
    out = tmp_path / "answer.md"
    pid = researcher.start("cli", *arguments(desktop.parameters, out))
    wait_for_a_round(out, None, 1)
    kill(researcher, pid)
    run_id = run_of(out)
    for at, change in enumerate(CHANGES, 2):
        change(desktop)
        order = ["research", desktop.question, "--resume", run_id, "--out", str(out)]
        pid = researcher.start("cli", *order)
        if change is not CHANGES[-1]:
            wait_for_a_round(out, run_id, at)
            kill(researcher, pid)
    assert researcher.ended() == 0
    found = results(run_of(out)), out.read_text()
    assert rounds_kept(run_id) == 1 + len(CHANGES)
    assert found == a_fresh_run(researcher, desktop, tmp_path / "fresh.md")


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("by_retry", [False, True], ids=["resumed", "retried"])
@pytest.mark.parametrize("change", CHANGES, ids=["question", "corpus", "plan"])
def test_at_any_instant(
    upstream: ProviderProcess, researcher: Researcher, tmp_path: Path, change: Change,
    by_retry: bool,
) -> None:  # fmt: skip
    if by_retry and change is _ask_something_else:
        pytest.skip("a Retry has the parameters that the run had")
    upstream.renew(reads=True, latency_seconds=LATENCY)
    changed = Desktop(tmp_path / "desk")
    change(changed)
    fresh = a_fresh_run(researcher, changed, tmp_path / "fresh.md")
    calls = upstream.settled_stats()["requests"]
    chance = random.Random(5)
    decided = 0
    for at in range(6):
        upstream.renew(reads=True, latency_seconds=LATENCY)
        desktop = Desktop(tmp_path / "desk")
        out = tmp_path / f"answer-{at}.md"
        if by_retry:
            run_id = str(deployed(desktop.parameters))
            pid = researcher.start("run", run_id)
        else:
            pid = researcher.start("cli", *arguments(desktop.parameters, out))
        # Late enough for the lead to have decided, in most of them.
        wait_for_calls(upstream, chance.randrange(calls // 2, calls))
        time.sleep(chance.random() * LATENCY)
        kill(researcher, pid)
        if not by_retry:
            run_id = run_of(out)
        decided += rounds_kept(run_id)
        change(desktop)
        if by_retry:
            crashed_and_retried(UUID(run_id))
            researcher.start("run", run_id)
        else:
            order = ["research", desktop.question, "--resume", run_id, "--out", str(out)]
            researcher.start("cli", *order)
        assert researcher.ended() == 0
        if by_retry:
            assert results(run_id) == fresh[0]
        else:
            assert (results(run_of(out)), out.read_text()) == fresh
    print(f"killed at 6 instants, the lead had decided before {decided} of them")
    assert decided > 0
