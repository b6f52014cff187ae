"""A research whose agents work in several processes: one plan, one bill, one answer."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from prefect_governor import research
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.shards import launching
from tests.integration.research.asking import ask, options, plan
from tests.provider.answers.riddles import World
from tests.provider.process import ProviderProcess
from tests.waiting import until
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server")


def said(report: ResearchReport) -> tuple[object, ...]:
    """A report without its times and its names of runs."""
    items = [
        (each.key, each.state, each.reason, each.result, each.usd, each.calls, each.attempts)
        for each in report.items
    ]
    return (report.outcome, report.answer, report.citations, report.budget.spent_usd, items)


def test_a_research_says_the_same_however_many_processes_its_agents_are_in(
    upstream: ProviderProcess,
    world: World,
    notes: Path,
    warm: WarmParent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launching, "command", warm.command)
    riddle = next(each for each in world.riddles if len(each.hops) == 3)
    reports, calls = [], []
    for processes in (1, 2):
        upstream.renew(reads=True)
        reports.append(ask(riddle.question, notes, max_usd="1", processes=processes))
        stats = upstream.settled_stats()
        calls.append(stats["requests"])
        assert int(reports[-1].budget.spent_usd * 10**9) == stats["billed_nano"]
        assert reports[-1].budget.reserved_usd == 0
    alone, shared = reports
    assert alone.outcome == "complete" and len(alone.items) == 3
    assert said(shared) == said(alone)
    # The lead, the agents and the synthesis: nobody asked twice.
    assert calls[0] == calls[1]
    assert [each.seconds is not None for each in shared.items] == [True] * 3


def test_what_depends_on_a_task_that_failed_in_another_process_is_skipped(
    upstream: ProviderProcess, notes: Path, warm: WarmParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "command", warm.command)
    made = plan(
        ("bad", "the broken one", []), ("after", "what follows", ["bad"]), ("good", "fine", [])
    )
    script = [
        {"match": "the broken one", "reply": {"status": 400, "text": "no"}},
        {"match": "", "reply": "an answer"},
    ]
    upstream.renew(script=script)
    report = ask("What is there?", notes, plan=made, max_rounds=0, processes=2)
    states = {item.key: item.state for item in report.items}
    assert states == {"bad": "failed", "after": "skipped", "good": "succeeded"}
    assert "'bad'" in str(report.items[1].reason)


def test_what_a_shard_that_is_killed_had_begun_is_answered_by_another(
    upstream: ProviderProcess, notes: Path, warm: WarmParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "command", warm.command)
    launch, started = launching.LocalProcesses.launch, list[launching.LocalProcess]()

    def launched(self: launching.LocalProcesses, number: int) -> launching.LocalProcess:
        started.append(launch(self, number))
        return started[-1]

    monkeypatch.setattr(launching.LocalProcesses, "launch", launched)
    tasks: list[tuple[str, str, list[str]]] = [
        (f"t{at:02d}", f"what is in note {at}", []) for at in range(12)
    ]
    upstream.renew(script=[{"match": "", "reply": "an answer"}], latency_seconds=1.0)
    killed: list[int] = []

    def kill() -> None:
        until(lambda: upstream.stats()["requests"] >= 4, seconds=120, every=0.05)
        # On a busy machine one may have been cut off from its ledger, and have ended itself.
        for each in started:
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
                killed.append(each.pid)
                return

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    report = ask(
        "What is there?", notes, plan=plan(*tasks), max_rounds=0, processes=2, max_concurrent=4,
        max_usd="1",
    )  # fmt: skip
    killer.join()
    stats = upstream.settled_stats()
    assert killed
    assert {item.state for item in report.items} == {"succeeded"}
    assert stats["max_open"] <= 4
    spent = report.budget.spent_usd + report.budget.unconfirmed_usd
    assert int(spent * 10**9) >= stats["billed_nano"]
    # 12 agents, a synthesis, and again at the most what was in flight where one ended.
    assert stats["requests"] <= 13 + 4 * (len(started) - 1)


def test_code_of_this_program_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, notes: Path
) -> None:
    def agent(task: str, inputs: str = "", governor: str = "") -> str:
        """Answer with it."""
        return "it"

    for more in ({"agent": agent}, {"tools": [agent]}):
        with pytest.raises(ConfigurationError, match=r"package\.module:name"):
            research("What?", **options(notes, processes=2, **more))
    with pytest.raises(ConfigurationError, match="give both"):
        research("What?", **options(notes, shards=2))
    assert upstream.stats()["requests"] == 0
