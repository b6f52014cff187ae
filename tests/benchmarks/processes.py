"""How full a cap is kept by one process and by several: `python -m tests.benchmarks.processes`.

A cap of 50, calls of 0.2 s, 1,000 items, each number of processes in turns, so many rounds; a
Prefect server, a ledger and the strict provider of its own. The provider says what was in flight:
its integral ÷ (cap x time), from the moment the cap is first full (or the first call, where it
never is) until the last call comes; and first to last, with what starting the processes takes.
Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.benchmarks.harness import promise, server
from tests.provider.books.log import first_full, in_flight_seconds
from tests.provider.process import ProviderProcess

SECONDS = 0.2
MODEL = "openai/gpt-4o-mini"
# What is promised of so many processes on two cores.
LEAST = {1: 0.7, 2: 0.9}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--cap", type=int, default=50)
    parser.add_argument("--processes", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    counts = given.processes or [1, 2]
    took: dict[int, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        items = home / "items.jsonl"
        with items.open("w") as file:
            for at in range(given.items):
                file.write(json.dumps({"key": f"{at:06d}", "text": f"Parcel {at}. " * 20}) + "\n")
        with server(home) as api, ProviderProcess(latency_seconds=SECONDS) as provider:
            for _ in range(given.rounds):
                for processes in counts:
                    provider.renew(latency_seconds=SECONDS, output_tokens=5)
                    took[processes].append(_run(home, api, provider, items, processes, given.cap))
    print("| processes | in flight ÷ cap | seconds, first to last |")
    print("|---:|---:|---:|")
    for processes, rounds in took.items():
        used, seconds = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"| {processes} | {used:.0%} | {seconds:.1f} |")
    for processes, rounds in took.items():
        used = statistics.median(each for each, _ in rounds)
        if (least := LEAST.get(processes)) is not None:
            print(promise(f"{processes} processes, in flight ÷ cap", used, least, least=True))
    return 0


def _run(
    home: Path, api: str, provider: ProviderProcess, items: Path, processes: int, cap: int
) -> tuple[float, float]:
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "DO_NOT_TRACK": "1",
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_API_BASE": provider.api_base,
    }
    began = time.monotonic()
    subprocess.run(
        [
            sys.executable, "-m", "prefect_governor.flows.cli", "fan-out", str(items), "--ask",
            "What is this?", "--model", MODEL, "--max-output-tokens", "24", "--max-usd", "5",
            "--max-concurrent", str(cap), "--processes", str(processes), "--yes", "--json",
        ],
        env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.monotonic() - began
    calls = provider.log()
    first, last = (end(record["arrival"] for record in calls) for end in (min, max))
    # One that never fills the cap is used as far as it gets.
    since = first_full(calls, cap) or first
    return in_flight_seconds(calls, since, last) / (cap * (last - since)), seconds


if __name__ == "__main__":
    sys.exit(main())
