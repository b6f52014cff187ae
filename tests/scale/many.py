"""`python -m tests.scale.many ITEMS`: one fan-out over so many texts, and what it took, as JSON.

A process of its own, so that its memory is the run's. A small run goes before, which loads all that
is loaded once; what is measured after it is the items' own.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import counting

CAP = 40
WARM_UP = 200
MODEL = "openai/gpt-4o-mini"


def texts(count: int, seen: dict[str, int]) -> Iterator[dict[str, str]]:
    """As many items, each made when it is asked for, and how far that runs ahead of the work."""
    from prefect_governor.blocks.limits.items import item_starts

    for at in range(count):
        seen["read"] = at + 1
        seen["under_way"] = max(seen["under_way"], item_starts().under_way)
        seen["ahead"] = max(seen["ahead"], at + 1 - seen["done"])
        yield {"key": f"item-{at:05d}", "text": f"Parcel {at} of the ledger. " * 20}


def measured(count: int) -> dict[str, Any]:
    from prefect_governor import Report, fan_out
    from prefect_governor.flows.report.progress import Progress
    from prefect_governor.flows.run.control import Control, current_control

    seen = {"read": 0, "under_way": 0, "ahead": 0, "done": 0}

    def look(now: Progress) -> None:
        seen["done"] = now.done

    def run(items: int) -> Report:
        report = fan_out(
            texts(items, seen), ask="What is this?", model=MODEL, max_output_tokens=24,
            max_concurrent=CAP, max_usd=100,
        )  # fmt: skip
        assert isinstance(report, Report)
        assert report.outcome == "complete", report.reason
        return report

    with counting(os.environ["PREFECT_API_URL"]) as counts:
        run(WARM_UP)
        seen.update(read=0, under_way=0, ahead=0, done=0)
        requests, events, before = counts.requests, counts.events, resident("VmRSS")
        # From here on the peak is this run's.
        Path("/proc/self/clear_refs").write_text("5")
        token = current_control.set(Control(watch=look))
        began = time.perf_counter()
        try:
            report = run(count)
        finally:
            current_control.reset(token)
        seconds = time.perf_counter() - began
        peak = resident("VmHWM")
        return {
            "run_id": report.run_id,
            "items": len(report.items),
            "seconds": seconds,
            "resident_before": before,
            "resident_peak": peak,
            "requests": counts.requests - requests,
            "events": counts.events - events,
            **seen,
        }


def resident(name: str) -> int:
    """Bytes, by the kernel's name: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]))))
