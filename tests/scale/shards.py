"""One run in many shards, of which some are killed: bill, cap, outcomes, wall and memory.

    python -m tests.scale.shards [--items 10000] [--shards 8] [--workers 4] [--cap 100]

A PostgreSQL for the Prefect server and for the ledger, the server, so many process workers at one
work pool with a `PREFECT_HOME` each, and the strict provider. A worker and a shard are killed by
SIGKILL on the way, then the run itself, which is gone on with. Prints a line of JSON, and fails
where an item is lost, the ceiling or the cap is passed, or a finished item was asked again.
`--one` runs the same items in one process first, for its wall-clock.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from tests import ROOT
from tests.benchmarks.harness import served
from tests.postgres import PostgresServer, binaries
from tests.provider.process import ProviderProcess
from tests.waiting import until

MODEL = "openai/gpt-4o-mini"
POOL = "shards"
SECONDS = 3600.0
DEPLOY = f"""
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect_governor import fan_out
with get_client(sync_client=True) as client:
    client.create_work_pool(WorkPoolCreate(name={POOL!r}, type="process"))
    flow_id = client.create_flow(fan_out)
    client.create_deployment(
        flow_id, name="shard", work_pool_name={POOL!r}, path={str(ROOT)!r},
        entrypoint="prefect_governor.flows.fan_out_flow.fan_out", enforce_parameter_schema=False,
    )
"""


class Fleet:
    """All that stands around a run."""

    def __init__(self, stack: ExitStack, folder: Path, *, latency: float) -> None:
        found = binaries()
        assert found is not None, "PostgreSQL is not installed (apt-get install postgresql)"
        postgres = PostgresServer(found)
        stack.callback(postgres.stop)
        postgres.start()
        postgres.sql("CREATE DATABASE prefect")
        prefect = postgres.url.replace("postgresql://", "postgresql+asyncpg://")
        prefect = prefect.removesuffix("/postgres") + "/prefect"
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = prefect
        api, _ = stack.enter_context(served(folder))
        del os.environ["PREFECT_API_DATABASE_CONNECTION_URL"]
        self.provider = stack.enter_context(
            ProviderProcess(latency_seconds=latency, output_tokens=5)
        )
        self.folder = folder
        self.shared = {
            **os.environ,
            "PREFECT_API_URL": api,
            "PREFECT_GOVERNOR_LEDGER_URL": postgres.schema_url(),
            "PREFECT_GOVERNOR_SHARED_FOLDER": str(folder / "shared"),
            "OPENAI_API_KEY": "sk-test-shards",
            "OPENAI_API_BASE": self.provider.api_base,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "DO_NOT_TRACK": "1",
        }

    def environment(self, name: str) -> dict[str, str]:
        """That of one machine."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return {**self.shared, "PREFECT_HOME": str(home)}

    def worker(self, number: int) -> psutil.Process:
        name = f"worker-{number}"
        words = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words, "--name", name],
                env=self.environment(name), stdout=log, stderr=log,
            )  # fmt: skip
        return psutil.Process(process.pid)

    def run(self, *words: str) -> subprocess.Popen[str]:
        """The command, on a machine of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "prefect_governor.flows.cli", "fan-out", *words, "--json"],
            env=self.environment("parent"), text=True, stdout=subprocess.PIPE,
            stderr=(self.folder / "parent.log").open("a"),
        )  # fmt: skip


def shards_of(worker: psutil.Process) -> list[psutil.Process]:
    """The flow runs that a worker has started."""
    with suppress(psutil.NoSuchProcess):
        return [each for each in worker.children(recursive=True) if each.is_running()]
    return []


def told(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cap", type=int, default=100)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--one", action="store_true", help="in one process first")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shards-")))
        fleet = Fleet(stack, folder, latency=given.latency)
        subprocess.run([sys.executable, "-c", DEPLOY], env=fleet.environment("parent"), check=True)
        items = folder / "items.jsonl"
        with items.open("w") as file:
            for at in range(given.items):
                row = {"key": f"{at:06d}", "text": f"Parcel {at} of the ledger. " * 10}
                file.write(json.dumps(row) + "\n")
        asked = [
            str(items), "--ask", "What is this?", "--model", MODEL, "--max-output-tokens", "24",
            "--max-concurrent", str(given.cap), "--max-usd", "5", "--yes",
        ]  # fmt: skip
        found: dict[str, Any] = {"items": given.items, "shards": given.shards}
        if given.one:
            began = time.monotonic()
            alone = fleet.run(*asked)
            alone.communicate(timeout=SECONDS)
            found["one_process_seconds"] = round(time.monotonic() - began, 1)
            fleet.provider.renew(latency_seconds=given.latency, output_tokens=5)
        found |= shared_run(stack, fleet, asked, given)
    print(json.dumps(found))
    return 0


def shared_run(
    stack: ExitStack, fleet: Fleet, asked: list[str], given: argparse.Namespace
) -> dict[str, Any]:
    workers = [fleet.worker(number) for number in range(given.workers)]
    stack.callback(end, workers)
    out = fleet.folder / "out.jsonl"
    spread = ["--shards", str(given.shards), "--deployment", "fan-out/shard", "--out", str(out)]
    began = time.monotonic()
    run = fleet.run(*asked, *spread)
    peak = 0

    def reached(count: int) -> bool:
        nonlocal peak
        assert run.poll() is None, (fleet.folder / "parent.log").read_text()[-3000:]
        peak = max(peak, psutil.Process(run.pid).memory_info().rss)
        return told(out) >= count

    until(lambda: reached(given.items // 8), seconds=SECONDS, every=0.2)
    # A machine is lost: its worker and all that it ran.
    lost = workers[0]
    for process in (*shards_of(lost), lost):
        process.kill()
    until(lambda: reached(given.items // 4), seconds=SECONDS, every=0.2)
    killed = next(each for worker in workers[1:] for each in shards_of(worker))
    killed.kill()
    until(lambda: reached(given.items // 2), seconds=SECONDS, every=0.2)
    run.send_signal(signal.SIGKILL)
    run.wait()
    when_killed = {json.loads(line)["key"] for line in out.read_text().splitlines()}
    again = fleet.run("--resume", "last", *spread[:4], "--out", str(out), "--yes")
    said, _ = again.communicate(timeout=SECONDS)
    seconds = time.monotonic() - began
    assert again.returncode == 0, (fleet.folder / "parent.log").read_text()[-3000:]
    report = json.loads(said)
    stats = fleet.provider.settled_stats()
    bodies = Counter(record["body_hash"] for record in fleet.provider.log())
    budget = report["budget"]
    spent = round((budget["spent_usd"] + budget["unconfirmed_usd"]) * 1e9)
    twice = sum(times - 1 for times in bodies.values())
    assert [item["key"] for item in report["items"]] == sorted(
        item["key"] for item in report["items"]
    )
    assert Counter(item["state"] for item in report["items"]) == {"succeeded": given.items}
    assert len(bodies) == given.items, f"{given.items - len(bodies)} items were never asked"
    assert stats["max_open"] <= given.cap
    assert stats["billed_nano"] <= spent <= budget["ceiling_usd"] * 1e9
    # What was in flight in three processes that were killed, at most.
    assert twice <= 3 * given.cap
    return {
        "seconds": round(seconds, 1),
        "told_when_the_run_was_killed": len(when_killed),
        "calls": stats["requests"],
        "asked_twice": twice,
        "max_open": stats["max_open"],
        "billed_usd": stats["billed_nano"] / 1e9,
        "spent_and_unconfirmed_usd": spent / 1e9,
        "peak_mib_of_the_run": peak // 2**20,
    }


def end(workers: list[psutil.Process]) -> None:
    for worker in workers:
        for process in (*shards_of(worker), worker):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    psutil.wait_procs(workers, timeout=10)


if __name__ == "__main__":
    sys.exit(main())
