"""One run in many shards, of which some are killed: bill, cap, outcomes, wall and memory.

    python -m tests.scale.shards [--items 10000] [--shards 8] [--workers 4] [--cap 100]
        [--one] [--fewer 1000] [--share 0.6]

A PostgreSQL for the Prefect server and for the ledger, the server, so many process workers at one
work pool with a `PREFECT_HOME` each, and the strict provider. A worker and a shard are killed by
SIGKILL on the way, then the run itself, which is gone on with. Prints a line of JSON for each run,
and fails where an item is lost, the ceiling or the cap is passed, or what was finished is paid for
again.

`--one` runs the same items in one process first, for its wall-clock; `--fewer` so many items in
shards, undisturbed, for the memory of a smaller run's own process; `--share` gives money for that
share of the items, of which at least 95% must be used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
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
# So much of the money must be used where it is short, and so many items tell what one costs.
USED, PROBE = 0.95, 8
EXIT_STATUS = {"complete": 0, "partial": 3}
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
        self.folder, self.latency = folder, latency
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

    def run(self, *words: str) -> Run:
        """The command, on a machine of its own."""
        return Run(self, words)

    def write(self, count: int) -> Path:
        """So many items."""
        path = self.folder / f"items-{count}.jsonl"
        with path.open("w") as file:
            for at in range(count):
                row = {"key": f"{at:06d}", "text": f"Parcel {at:06d} of the ledger. " * 10}
                file.write(json.dumps(row) + "\n")
        return path

    def calling(self) -> set[int]:
        """The processes that say they have calls in flight."""
        found = set()
        for path in (self.folder / "shared").glob("*/shards/*/shard-*.json"):
            with suppress(OSError, ValueError):
                if json.loads(path.read_text())["in_flight"]:
                    found.add(int(path.stem.split("-")[2]))
        return found

    def renew(self) -> None:
        self.provider.renew(latency_seconds=self.latency, output_tokens=5)


class Run:
    """The process of a run, and what it takes of memory at the most, in MiB."""

    def __init__(self, fleet: Fleet, words: tuple[str, ...]) -> None:
        self._said = fleet.folder / "parent.json"
        self._log = fleet.folder / "parent.log"
        self.peak = 0
        self.began = time.monotonic()
        with self._said.open("w") as said, self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect_governor.flows.cli", "fan-out", *words, "--json"],
                env=fleet.environment("parent"), stdout=said, stderr=log,
            )  # fmt: skip

    def look(self) -> bool:
        """Whether it is still there."""
        status = Path(f"/proc/{self.process.pid}/status")
        with suppress(OSError, ProcessLookupError):
            if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
                self.peak = max(self.peak, int(found[1]) // 1024)
        return self.process.poll() is None

    def goes_on_until(self, reached: Callable[[], bool]) -> None:
        def look() -> bool:
            assert self.look(), self.words()
            return reached()

        until(look, seconds=SECONDS, every=0.5)

    def ended(self) -> dict[str, Any]:
        """Its report."""
        until(lambda: not self.look(), seconds=SECONDS, every=0.2)
        report: dict[str, Any] = json.loads(self._said.read_text() or "{}")
        wanted = EXIT_STATUS.get(report.get("outcome", ""))
        assert self.process.returncode == wanted, self.words()
        return report

    def words(self) -> str:
        return self._log.read_text()[-3000:]


def shards_of(worker: psutil.Process) -> list[psutil.Process]:
    """The flow runs that a worker has started."""
    with suppress(psutil.NoSuchProcess):
        return [each for each in worker.children(recursive=True) if each.is_running()]
    return []


def told(out: Path) -> dict[str, Any]:
    """The items that a run has told of, by key."""
    whole = [line for line in out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {item["key"]: item for item in map(json.loads, whole)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cap", type=int, default=100)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--one", action="store_true", help="in one process first")
    parser.add_argument("--fewer", type=int, default=0, help="so many items first, undisturbed")
    parser.add_argument("--share", type=float, help="money for this share of the items")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shards-")))
        fleet = Fleet(stack, folder, latency=given.latency)
        subprocess.run([sys.executable, "-c", DEPLOY], env=fleet.environment("parent"), check=True)
        asked = [
            "--ask", "What is this?", "--model", MODEL, "--max-output-tokens", "24",
            "--max-concurrent", str(given.cap), "--yes", "--max-usd",
        ]  # fmt: skip
        ceiling = "5"
        if given.share is not None:
            fleet.run(str(fleet.write(PROBE)), *asked, ceiling).ended()
            each = fleet.provider.settled_stats()["billed_nano"] / PROBE
            ceiling = f"{given.share * given.items * each / 1e9:.9f}"
            fleet.renew()
        items = [str(fleet.write(given.items)), *asked, ceiling]
        if given.one:
            alone = fleet.run(*items)
            report = alone.ended()
            _say(processes=1, **_seen(fleet, given, report), peak_mib=alone.peak,
                 seconds=round(time.monotonic() - alone.began, 1))  # fmt: skip
            fleet.renew()
        workers = [fleet.worker(number) for number in range(given.workers)]
        stack.callback(end, workers)
        spread = ["--shards", str(given.shards), "--deployment", "fan-out/shard"]
        if given.fewer:
            fewer = fleet.run(str(fleet.write(given.fewer)), *asked, "5", *spread)
            report = fewer.ended()
            _say(shards=given.shards, **_seen(fleet, given, report), peak_mib=fewer.peak,
                 seconds=round(time.monotonic() - fewer.began, 1))  # fmt: skip
            fleet.renew()
        _say(shards=given.shards, **disturbed(fleet, workers, [*items, *spread], spread, given))
    return 0


def disturbed(
    fleet: Fleet,
    workers: list[psutil.Process],
    asked: list[str],
    spread: list[str],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """The run in which a worker, a shard and the run's own process are killed."""
    out = fleet.folder / "out.jsonl"
    run = fleet.run(*asked, "--out", str(out))

    def reached(share: float) -> Callable[[], bool]:
        return lambda: out.exists() and out.read_bytes().count(b"\n") >= share * given.items

    def calling() -> list[tuple[psutil.Process, psutil.Process]]:
        """Workers with a shard that has calls in flight."""
        busy = fleet.calling()
        return [
            (worker, shard)
            for worker in workers
            for shard in shards_of(worker)
            if shard.pid in busy
        ]

    run.goes_on_until(reached(1 / 8))
    run.goes_on_until(lambda: bool(calling()))
    # A machine is lost: its worker and all that it ran.
    lost, _ = calling()[0]
    for process in (*shards_of(lost), lost):
        process.kill()
    run.goes_on_until(reached(1 / 4))
    run.goes_on_until(lambda: bool(calling()))
    calling()[0][1].kill()
    run.goes_on_until(reached(1 / 2))
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    finished = {key: each for key, each in told(out).items() if each["state"] == "succeeded"}
    again = fleet.run("--resume", "last", *spread, "--out", str(out), "--yes")
    report = again.ended()
    seen = _seen(fleet, given, report)
    after = {item["key"]: item for item in report["items"]}
    paid_again = [key for key, each in finished.items() if after[key]["calls"] != each["calls"]]
    assert not paid_again, f"finished, and paid for again: {paid_again[:10]}"
    # What was in flight in the worker and in the shard, and nothing else.
    assert seen["asked_twice"] <= 2 * given.cap
    return {
        "killed": ["worker", "shard", "run"],
        "finished_when_the_run_was_killed": len(finished),
        **seen,
        "peak_mib": max(run.peak, again.peak),
        "seconds": round(time.monotonic() - run.began, 1),
    }


def _seen(fleet: Fleet, given: argparse.Namespace, report: dict[str, Any]) -> dict[str, Any]:
    """What the provider and the report say of a run; AssertionError where that is not so."""
    stats = fleet.provider.settled_stats()
    bodies = Counter(record["body_hash"] for record in fleet.provider.log())
    budget, keys = report["budget"], [item["key"] for item in report["items"]]
    states = Counter(item["state"] for item in report["items"])
    spent = round((budget["spent_usd"] + budget["unconfirmed_usd"]) * 1e9)
    ceiling = round(budget["ceiling_usd"] * 1e9)
    assert keys == [f"{at:06d}" for at in range(len(keys))]
    assert stats["max_open"] <= given.cap
    assert stats["billed_nano"] <= spent <= ceiling
    assert budget["reserved_usd"] == 0
    if report["outcome"] == "complete":
        assert states == {"succeeded": len(keys)}
        assert len(bodies) == len(keys), f"{len(keys) - len(bodies)} items were never asked"
    else:
        assert given.share is not None and set(states) == {"succeeded", "over_budget"}
        assert spent >= USED * ceiling, f"{spent / ceiling:.1%} of the money was used"
    return {
        "items": len(keys),
        "states": dict(states),
        "calls": stats["requests"],
        "asked_twice": sum(times - 1 for times in bodies.values()),
        "max_open": stats["max_open"],
        "billed_usd": stats["billed_nano"] / 1e9,
        "spent_and_unconfirmed_usd": spent / 1e9,
        "used": round(spent / ceiling, 4),
    }


def _say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


def end(workers: list[psutil.Process]) -> None:
    for worker in workers:
        for process in (*shards_of(worker), worker):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    psutil.wait_procs(workers, timeout=10)


if __name__ == "__main__":
    sys.exit(main())
