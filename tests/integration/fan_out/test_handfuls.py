"""Items that share task runs: each is answered, retried, stopped, kept and reported by itself."""

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor import Budget, Governor, Limit, Report, fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.conftest import Corpus
from tests.integration.recorded import task_runs
from tests.provider.process import ProviderProcess
from tests.waiting import until
from tests.warm import WarmParent

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


def ask(items: Any, control: Control | None = None, **options: Any) -> Report:
    token = current_control.set(control)
    try:
        report = fan_out(
            items, ask="What is this?", model=MODEL, max_output_tokens=24, max_usd=1, **options
        )
    finally:
        current_control.reset(token)
    assert isinstance(report, Report)
    return report


def texts(count: int) -> list[dict[str, str]]:
    return [{"key": f"{at:03d}", "text": f"It is parcel {at:03d}."} for at in range(count)]


def lasting(report: Report) -> dict[str, Any]:
    """The report without its times and its names of runs."""
    said = report.model_dump(mode="json", exclude={"run_id", "files", "advice", "picture"})
    for item in said["items"]:
        item["seconds"] = None
    return {name: said[name] for name in ("outcome", "reason", "items", "cost_multiple", "budget")}


def test_a_report_is_the_same_whatever_shares_a_task_run(
    upstream: ProviderProcess, client: SyncPrefectClient
) -> None:
    script = [
        {"match": "parcel 003", "reply": {"status": 400, "text": "no"}},
        {"match": "parcel 011", "reply": [{"status": 500, "text": "busy"}, "at last"]},
        {"match": "parcel 017", "reply": "word " * 40},
        {"match": "parcel", "reply": "an answer"},
    ]
    reports = []
    for items_per_task in (1, 7):
        upstream.renew()
        upstream.configure(script=script)
        reports.append(ask(texts(40), items_per_task=items_per_task, max_concurrent=9))
        assert upstream.settled_stats()["requests"] == 41
    alone, shared = reports
    assert lasting(shared) == lasting(alone)
    assert shared.items[11].attempts == 2
    assert Counter(item.state for item in shared.items) == {"succeeded": 38, "failed": 2}
    names = [*(f"items {first} to {first + 6}" for first in range(1, 36, 7)), "items 36 to 40"]
    runs = task_runs(client, shared.run_id, len(names))
    assert sorted(runs) == sorted(names)
    states = [state for name in names if (state := runs[name].state) is not None]
    assert [each.name for each in states] == [
        "Partial", "Completed", "Partial", "Completed", "Completed", "Completed",
    ]  # fmt: skip
    assert states[1].message == "7 of 7 items succeeded"
    assert "6 of 7 items succeeded; 003: " in str(states[0].message)


def test_a_long_run_shares_task_runs_by_itself_and_the_cap_stays_full(
    upstream: ProviderProcess, client: SyncPrefectClient
) -> None:
    upstream.configure(latency_seconds=0.2, output_tokens=5)
    report = ask(iter(texts(240)), max_concurrent=12)
    stats = upstream.settled_stats()
    assert (report.outcome, len(report.items)) == ("complete", 240)
    assert (stats["requests"], stats["max_open"]) == (240, 12)
    names = sorted(task_runs(client, report.run_id, 220))
    # The first 200 are one each; from then on two share one.
    assert names[:200] == [f"{at:03d}" for at in range(200)]
    assert names[200:] == [f"items {at} to {at + 1}" for at in range(201, 240, 2)]

    report = ask(iter(texts(30)), items_per_task="10", max_concurrent=4)
    # What an iterator gives is known once it was given.
    names = sorted(task_runs(client, report.run_id, 3))
    assert names == ["items 1 to 10", "items 11 to 20", "items 21 to 30"]


@pytest.mark.parametrize("times", ["once", "twice"])
def test_a_stop_in_the_midst_of_a_handful_leaves_each_item_its_own_outcome(
    upstream: ProviderProcess, times: str
) -> None:
    upstream.configure(latency_seconds=0.5, output_tokens=5)
    control = Control()

    def stop(now: Progress) -> None:
        if now.done >= 5:
            control.stop.set()
            if times == "twice":
                control.abort.set()

    control.watch = stop
    report = ask(texts(60), control, items_per_task=10, max_concurrent=5)
    stats = upstream.settled_stats()
    states = Counter(item.state for item in report.items)
    print(times, dict(states), stats["requests"])
    assert len(report.items) == 60 and states["succeeded"] >= 5 and states["not_started"] >= 30
    assert all(item.reason for item in report.items if item.state != "succeeded")
    # What was in flight is finished, or charged as unconfirmed.
    assert states["failed"] == 0 if times == "once" else states["failed"] <= 5
    assert report.budget.reserved_usd == 0
    spent = int((report.budget.spent_usd + report.budget.unconfirmed_usd) * 10**9)
    assert spent >= stats["billed_nano"]


def test_task_runs_that_are_limited_are_an_item_each(
    upstream: ProviderProcess, client: SyncPrefectClient, name: str
) -> None:
    limit = Limit(tag="llm", counts="tasks", max_concurrent=3)
    Governor(budget=Budget(max_usd=1, window="day"), limits=[limit]).save(name)
    upstream.configure(output_tokens=5)
    with pytest.raises(ConfigurationError, match="counts task runs"):
        ask(texts(20), governor=name, items_per_task=10)
    assert upstream.settled_stats()["requests"] == 0
    tag_limit = client.create_concurrency_limit(tag="llm", concurrency_limit=3)
    try:
        with pytest.raises(ConfigurationError, match="concurrency limit of Prefect's"):
            ask(texts(20), items_per_task=10)
    finally:
        client.delete_concurrency_limit_by_tag("llm")
    assert tag_limit and upstream.settled_stats()["requests"] == 0


def test_sigkill_in_the_midst_of_a_handful_pays_again_only_for_what_was_not_finished(
    upstream: ProviderProcess, corpus: Corpus, warm: WarmParent, tmp_path: Path
) -> None:
    count, cap = 50, 5
    folder = corpus(count)[0].parent
    upstream.configure(latency_seconds=0.3, output_tokens=5)
    out = tmp_path / "out.jsonl"
    words = ("-m", "prefect_governor.flows.cli", "fan-out")
    options = ("--max-concurrent", str(cap), "--out", str(out), "--json")
    asked = ("--ask", "What?", "--model", MODEL, "--items-per-task", "25")
    first = subprocess.Popen(warm.command(*words, str(folder), *asked, *options))
    try:
        until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 8)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    finished = {json.loads(line)["key"] for line in out.read_text().splitlines()}
    assert 8 <= len(finished) < count - cap
    before = upstream.settled_stats()["requests"]
    second = subprocess.run(
        warm.command(*words, "--resume", "last", *options),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert second.returncode == 0, second.stderr[-2000:]
    report = json.loads(second.stdout)
    stats = upstream.settled_stats()
    print(f"{len(finished)} of {count} were finished, {before} calls; {stats['requests']} after")
    assert [item["state"] for item in report["items"]] == ["succeeded"] * count
    assert stats["requests"] <= count + cap
    bodies = Counter(record["body_hash"] for record in upstream.log())
    assert len(bodies) == count
    assert sum(times - 1 for times in bodies.values()) <= cap
    paid = {item["key"]: item["calls"] for item in report["items"]}
    assert {paid[key] for key in finished} == {1}
