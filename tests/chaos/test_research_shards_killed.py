"""A research whose run is killed while its shards work, and gone on with: no task is lost, none
that had finished is paid for again, and what depends on another still comes after it."""

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.researches import CAP, MODEL, run_of
from tests.chaos.test_shards_killed import SECONDS, shards
from tests.provider.process import ProviderProcess
from tests.waiting import until
from tests.warm import WarmParent

CHAINS, LENGTH = 6, 4
WORDS = ("-m", "prefect_governor.flows.cli", "research")

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("server")]


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
        first = subprocess.Popen(warm.command(*WORDS, *asked, *options), stdout=said, stderr=said)
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
        warm.command(*WORDS, "--resume", "last", *options),
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
    # The shards outlived the run, and finished what they had begun.
    assert again == 0
    assert stats["requests"] == CHAINS * LENGTH + 1
    assert stats["max_open"] <= CAP
    spent = report["budget"]["spent_usd"] + report["budget"]["unconfirmed_usd"]
    assert round(spent * 10**9) >= stats["billed_nano"]
    assert report["budget"]["reserved_usd"] == 0
    assert out.read_text() and run_of(out)
