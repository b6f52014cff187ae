"""`python -m tests.benchmarks.in_flight`: the README's first command uses the cap without a gap?

The command as a newcomer runs it, with the offline model, and at the strict provider with calls of
a second; beside it, what bare httpx under a semaphore does with as many calls. A Prefect server, a
ledger and a provider of its own. The ledger says what was in flight; the provider, what it served.
"""

import argparse
import asyncio
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from tests import ROOT
from tests.benchmarks.harness import server
from tests.provider.books.log import first_full, utilization
from tests.provider.process import ProviderProcess

CAP = 20
HERTZ = 10
SECONDS = 1.0
MODEL = "openai/gpt-4o-mini"
Record = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each, one after the other")
    parser.add_argument("--line", action="store_true", help="print what was in flight, at 10 Hz")
    args = parser.parse_args()
    print("| work | calls | call p50 | in flight ÷ cap | of the provider | seconds |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with server(home) as api, ProviderProcess(latency_seconds=SECONDS) as provider:
            for _ in range(args.runs):
                calls = _command(home, api, None, line=args.line)
                _command(home, api, provider, line=args.line)
                _bare(provider, calls)
    return 0


def readme_command() -> list[str]:
    """Its first command, without what installs it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"\./run (prefect-governor fan-out .*)$", text, re.MULTILINE)
    assert found is not None, "the README's first command is a fan-out"
    return shlex.split(found[1])


def _command(home: Path, api: str, provider: ProviderProcess | None, *, line: bool) -> int:
    """Runs it, and prints its row. Returns how many calls it made."""
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": api}
    environment |= {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    _, *arguments = readme_command()
    if provider is not None:
        provider.renew(latency_seconds=SECONDS, output_tokens=60)
        environment |= {"OPENAI_API_KEY": "sk-bench", "OPENAI_API_BASE": provider.api_base}
        arguments += ["--model", MODEL]
    else:
        arguments += ["--model", "offline/extract"]
    began = time.time_ns()
    subprocess.run(
        [sys.executable, "-m", "prefect_governor.flows.cli", *arguments],
        env=environment,
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    records = in_ledger(home / "governor" / "ledger.sqlite", since=began)
    served = None
    if provider is not None:
        provider.settled_stats()
        served = utilization(provider.log(), CAP)
    _row("README, offline model" if provider is None else "README, calls of 1 s", records, served)
    if line:
        print(" ".join(str(count) for count in in_flight(records)), flush=True)
    return len(records)


def in_ledger(path: Path, *, since: int) -> list[Record]:
    """The calls admitted since an instant (wall, ns), as the provider's log has its own."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
        rows = ledger.execute(
            "SELECT created_wall, resolved_wall FROM reservations WHERE created_wall >= ?"
            " AND resolved_wall IS NOT NULL ORDER BY created_wall",
            (since,),
        ).fetchall()
    return [{"arrival": created / 1e9, "end": resolved / 1e9} for created, resolved in rows]


def in_flight(records: list[Record]) -> Iterable[int]:
    """How many calls were open, ten times a second."""
    start, end = records[0]["arrival"], max(record["end"] for record in records)
    for step in range(int((end - start) * HERTZ) + 1):
        at = start + step / HERTZ
        yield sum(record["arrival"] <= at < record["end"] for record in records)


def _row(work: str, records: list[Record], served: float | None) -> None:
    lengths = sorted(record["end"] - record["arrival"] for record in records)
    full = first_full(records, CAP)
    used = "never full" if full is None else f"{utilization(records, CAP):.1%}"
    seconds = max(record["end"] for record in records) - records[0]["arrival"]
    print(
        f"| {work} | {len(records)} | {lengths[len(lengths) // 2]:.2f} s | {used}"
        f" | {'' if served is None else f'{served:.1%}'} | {seconds:.1f} |",
        flush=True,
    )


def _bare(provider: ProviderProcess, calls: int) -> None:
    """As many calls by httpx under a semaphore: what this machine lets anybody do just now."""
    provider.renew(latency_seconds=SECONDS, output_tokens=60)
    asyncio.run(_bare_calls(provider.api_base, calls))
    provider.settled_stats()
    log = provider.log()
    _row("bare httpx, calls of 1 s", log, utilization(log, CAP))


async def _bare_calls(base: str, calls: int) -> None:
    slots = asyncio.Semaphore(CAP)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello."}]}

    async def call(client: httpx.AsyncClient) -> None:
        async with slots:
            (await client.post(f"{base}/chat/completions", json=body)).raise_for_status()

    headers = {"authorization": "Bearer sk-bench"}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(call(client) for _ in range(calls)))


if __name__ == "__main__":
    sys.exit(main())
