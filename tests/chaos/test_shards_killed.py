"""A run that processes share, of which any may be killed: nothing is lost, no finished item is paid
for twice, and what depends on another task still comes after it."""

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from prefect_governor.blocks.machine.home import state_folder
from tests.chaos.researches import MODEL, run_of
from tests.provider.process import ProviderProcess
from tests.waiting import until
from tests.warm import WarmParent

COUNT, CAP, SECONDS = 80, 4, 300
WORDS = ("-m", "prefect_governor.flows.cli", "fan-out")

# A plan of chains.
CHAINS, LENGTH = 6, 4
RESEARCH = ("-m", "prefect_governor.flows.cli", "research")

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("server")]


def shards() -> list[psutil.Process]:
    """Those of this test's home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "prefect_governor.flows.cli.shard" in words and str(state_folder()) in words[-2]:
            found.append(process)
    return found


def test_a_shard_and_the_run_are_killed_and_nothing_is_lost_or_paid_twice(
    upstream: ProviderProcess, warm: WarmParent, tmp_path: Path
) -> None:
    rows = [{"key": f"{at:03d}", "text": f"It is parcel {at:03d}."} for at in range(COUNT)]
    items, out = tmp_path / "items.jsonl", tmp_path / "out.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    upstream.configure(latency_seconds=0.7, output_tokens=5)
    options = ("--max-concurrent", str(CAP), "--out", str(out), "--json")
    asked = ("--ask", "What?", "--model", "openai/gpt-4o-mini", "--processes", "2")

    def told() -> int:
        return out.read_bytes().count(b"\n") if out.exists() else 0

    first = subprocess.Popen(warm.command(*WORDS, str(items), *asked, *options))
    try:
        until(lambda: len(shards()) == 2 and told() >= 4, seconds=SECONDS)
        killed = shards()[0]
        killed.kill()
        # Another takes its place, and the run goes on.
        before = told()
        until(lambda: told() >= before + 6 and len({*shards()} - {killed}) == 2, seconds=SECONDS)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    # The shards finish what is in flight, and end.
    until(lambda: not shards(), seconds=SECONDS)
    finished = {json.loads(line)["key"] for line in out.read_text().splitlines()}
    sent = upstream.settled_stats()["requests"]
    print(f"{len(finished)} of {COUNT} told, {sent} calls, when a shard and the run were dead")
    assert len(finished) < COUNT
    fewest = told()
    with subprocess.Popen(
        warm.command(*WORDS, "--resume", "last", *options),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as second:  # fmt: skip
        while second.poll() is None and len(shards()) < 2:
            fewest = min(fewest, told())
            time.sleep(0.02)
        answer, errors = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, errors[-3000:]
    # What the first one answered stands there while it is told again.
    assert fewest >= len(finished)
    report = json.loads(answer)
    stats = upstream.settled_stats()
    bodies = Counter(record["body_hash"] for record in upstream.log())
    again = sum(times - 1 for times in bodies.values())
    print(f"{stats['requests']} calls in all, {again} of them again; at most {stats['max_open']}")
    assert [item["key"] for item in report["items"]] == [row["key"] for row in rows]
    assert {item["state"] for item in report["items"]} == {"succeeded"}
    assert len(bodies) == COUNT
    # Only what was in flight in the shard that was killed is asked again.
    assert again <= CAP
    assert stats["max_open"] <= CAP
    spent = report["budget"]["spent_usd"] + report["budget"]["unconfirmed_usd"]
    assert round(spent * 10**9) >= stats["billed_nano"]
    assert report["budget"]["reserved_usd"] == 0


def test_a_shard_that_stands_still_is_replaced_and_never_comes_back(
    upstream: ProviderProcess, warm: WarmParent, tmp_path: Path
) -> None:
    rows = [{"key": f"{at:03d}", "text": f"It is parcel {at:03d}."} for at in range(COUNT)]
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    upstream.configure(latency_seconds=1.0, output_tokens=5)
    words = warm.command(
        *WORDS, str(items), "--ask", "What?", "--model", "openai/gpt-4o-mini", "--json",
        "--processes", "2", "--max-concurrent", str(CAP),
    )  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:

        def calls() -> bool:
            assert run.poll() is None, run.communicate()
            return bool(upstream.stats()["requests"] >= 2 * CAP)

        until(calls, seconds=SECONDS, every=0.1)
        until(lambda: len(shards()) == 2, seconds=SECONDS)
        frozen = shards()[0]
        frozen.send_signal(signal.SIGSTOP)
        said, errors = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, errors[-3000:]
    assert not frozen.is_running() and not shards()
    report = json.loads(said)
    stats = upstream.settled_stats()
    bodies = Counter(record["body_hash"] for record in upstream.log())
    again = sum(times - 1 for times in bodies.values())
    print(f"{stats['requests']} calls, {again} again; at most {stats['max_open']} open")
    assert Counter(item["state"] for item in report["items"]) == {"succeeded": COUNT}
    assert again <= CAP
    assert report["budget"]["reserved_usd"] == 0


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_the_shards_as_it_stops_items(
    upstream: ProviderProcess, warm: WarmParent, tmp_path: Path, times: int
) -> None:
    items = tmp_path / "items.jsonl"
    rows = [{"key": f"{at:03d}", "text": f"It is parcel {at:03d}."} for at in range(COUNT)]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    upstream.configure(latency_seconds=3.0, output_tokens=5)
    words = warm.command(
        *WORDS, str(items), "--ask", "What?", "--model", "openai/gpt-4o-mini", "--json",
        "--processes", "2", "--max-concurrent", str(CAP),
    )  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:

        def calls() -> bool:
            assert run.poll() is None, run.communicate()
            return bool(upstream.stats()["requests"] >= CAP)

        until(calls, seconds=SECONDS, every=0.1)
        for _ in range(times):
            run.send_signal(signal.SIGINT)
            time.sleep(1)
        said, errors = run.communicate(timeout=SECONDS)
    assert run.returncode == 3, errors[-3000:]
    assert not shards()
    report = json.loads(said)
    states = Counter(item["state"] for item in report["items"])
    stats = upstream.settled_stats()
    print(times, dict(states), stats["requests"])
    assert sum(states.values()) == COUNT and states["not_started"] >= COUNT - 2 * CAP
    # What was in flight is finished, or charged as unconfirmed.
    assert states["failed"] == 0 if times == 1 else states["failed"] <= 2 * CAP
    assert stats["requests"] <= 2 * CAP
    assert report["budget"]["reserved_usd"] == 0
    spent = report["budget"]["spent_usd"] + report["budget"]["unconfirmed_usd"]
    assert round(spent * 10**9) >= stats["billed_nano"]


def plan() -> dict[str, object]:
    return {
        "tasks": [
            {
                "id": f"c{chain}-{at}",
                "objective": f"What is link {at} of chain {chain}?",
                "depends_on": [f"c{chain}-{at - 1}"] if at else [],
            }
            for chain in range(CHAINS)
            for at in range(LENGTH)
        ]
    }


@pytest.mark.parametrize("calls", [3, 14])
def test_a_research_in_shards_whose_run_is_killed_is_gone_on_with(
    upstream: ProviderProcess, warm: WarmParent, tmp_path: Path, calls: int
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("All that there is.\n")
    (tmp_path / "plan.json").write_text(json.dumps(plan()))
    out = tmp_path / "answer.md"
    upstream.configure(script=[{"match": "", "reply": "an answer"}], latency_seconds=1.0)
    options = ("--max-concurrent", str(CAP), "--out", str(out), "--json")
    asked = (
        "What?", "--corpus", str(tmp_path / "notes"), "--plan", str(tmp_path / "plan.json"),
        "--model", MODEL, "--max-rounds", "0", "--max-usd", "1", "--max-output-tokens", "400",
        "--processes", "2",
    )  # fmt: skip
    log = tmp_path / "log"
    with log.open("w") as said:
        first = subprocess.Popen(
            warm.command(*RESEARCH, *asked, *options), stdout=said, stderr=said
        )
        try:
            until(lambda: upstream.stats()["requests"] >= calls, seconds=SECONDS, every=0.05)
            assert first.poll() is None, log.read_text()
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
    dead = upstream.stats()["requests"]
    until(lambda: not shards(), seconds=SECONDS)
    print(
        f"{dead} calls as the run died, {upstream.settled_stats()['requests']} when its shards had"
    )
    second = subprocess.run(
        warm.command(*RESEARCH, "--resume", "last", *options),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert second.returncode == 0, second.stderr[-3000:]
    report = json.loads(second.stdout)
    stats = upstream.settled_stats()
    bodies = Counter(record["body_hash"] for record in upstream.log())
    again = sum(times - 1 for times in bodies.values())
    print(f"{stats['requests']} calls in all, {again} of them again; at most {stats['max_open']}")
    assert [item["key"] for item in report["items"]] == [
        f"c{chain}-{at}" for chain in range(CHAINS) for at in range(LENGTH)
    ]
    assert {item["state"] for item in report["items"]} == {"succeeded"}
    # The shards outlive the run, and finish what they had begun; on a busy machine one may be
    # cut off from its ledger, and what it had in flight is asked again.
    assert again <= CAP
    assert len(bodies) == CHAINS * LENGTH + 1
    assert stats["max_open"] <= CAP
    spent = report["budget"]["spent_usd"] + report["budget"]["unconfirmed_usd"]
    assert round(spent * 10**9) >= stats["billed_nano"]
    assert report["budget"]["reserved_usd"] == 0
    assert out.read_text() and run_of(out)
