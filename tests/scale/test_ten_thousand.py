"""10,000 items in one run cost each what 1,000 do, and the server is well afterwards (P30)."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from prefect_governor.flows.handfuls.sizes import size_after
from prefect_governor.flows.report.table import MAX_ROWS
from prefect_governor.flows.run.window import room_for
from prefect_governor.flows.server.background import ServerInfo
from tests.benchmarks.harness import promise
from tests.provider.process import ProviderProcess
from tests.scale.many import CAP, WARM_UP

pytestmark = [pytest.mark.scale, pytest.mark.slow, pytest.mark.usefixtures("server")]

FEW, MANY = 1_000, 10_000
DEAREST = 1.2
# How long the server may take to show what it was told of, beside the run's own time.
BACKLOG_SHARE = 0.5
QUIET_SECONDS = 15.0
HEALTH_SECONDS = 0.5
# P36. The server of these tests keeps no events.
SERVER_MS = 3.0
WALL_MS = 12.0


def test_10_000_items_cost_each_what_1_000_do(
    upstream: ProviderProcess, server: ServerInfo
) -> None:
    few = run(FEW)
    upstream.renew()
    process = psutil.Process(server.pid)
    before = process.cpu_times()
    many = run(MANY)
    stats = upstream.settled_stats()
    for each in (few, many):
        print(
            f"\n{each['items']:,} items: {ms(each):.2f} ms and {kib(each):.2f} KiB an item;"
            f" peak {each['resident_peak'] / 2**20:,.0f} MiB, before"
            f" {each['resident_before'] / 2**20:,.0f} MiB; {each['requests'] / each['items']:.3f}"
            f" API requests and {each['events'] / each['items']:.2f} events an item; at most"
            f" {each['under_way']} under way, the generator {each['ahead']} ahead",
            end="",
        )
    print(f"\nratio of time {ms(many) / ms(few):.2f}, of memory {kib(many) / kib(few):.2f}")

    assert many["items"] == many["read"] == MANY
    assert stats["requests"] == MANY + WARM_UP
    assert ms(many) <= DEAREST * ms(few)
    assert kib(many) <= DEAREST * kib(few)
    assert many["under_way"] <= room_for(CAP)
    # What is taken but not counted as done yet, beside what waits in the reader.
    assert many["ahead"] <= 4 * room_for(CAP)
    assert_well(many)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    an_item = 1000 * spent / (MANY + WARM_UP)
    print(f"the server's CPU until all was shown: {an_item:.2f} ms an item")
    # Of the wall, which a busy machine doubles, it is only said.
    print(promise("wall, ms an item", ms(many), WALL_MS))
    print(promise("the server's CPU, ms an item", an_item, SERVER_MS))
    assert an_item <= SERVER_MS
    assert_whole(many)


def run(items: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.scale.many", str(items)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def ms(figures: dict[str, Any]) -> float:
    """Milliseconds an item, its share of the run's start and end included."""
    return float(1000 * figures["seconds"] / figures["items"])


def kib(figures: dict[str, Any]) -> float:
    """KiB an item that the run added to what the process held before."""
    grown = figures["resident_peak"] - figures["resident_before"]
    return float(grown / 1024 / figures["items"])


def assert_well(figures: dict[str, Any]) -> None:
    """The server answers at once, and shows every task run soon after."""
    began = time.monotonic()
    slowest = 0.0
    shown, moved = -1, began
    started = runs = 0
    while started < figures["items"]:
        started += size_after(started, None)
        runs += 1
    while shown < runs and time.monotonic() - moved < QUIET_SECONDS:
        asked = time.monotonic()
        with urllib.request.urlopen(f"{os.environ['PREFECT_API_URL']}/health", timeout=30) as reply:
            assert reply.status == 200
        slowest = max(slowest, time.monotonic() - asked)
        now = completed(figures["run_id"])
        if now != shown:
            shown, moved = now, time.monotonic()
        time.sleep(0.5)
    took = moved - began
    unfinished = runs - shown
    names = unfinished_names(figures["run_id"]) if unfinished else []
    print(
        f"the server: /api/health within {slowest * 1000:.0f} ms, all that it was told shown after"
        f" {took:.1f} s; {unfinished} task runs left unfinished in the UI"
        + (f": {', '.join(names)}" if names else "")
    )
    assert slowest < HEALTH_SECONDS
    assert took <= BACKLOG_SHARE * figures["seconds"]
    assert unfinished <= runs / 1000, names


def completed(run_id: str) -> int:
    body = {
        "flow_runs": {"id": {"any_": [run_id]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    with get_client(sync_client=True) as client:
        return int(client.request("POST", "/task_runs/count", json=body).json())


def unfinished_names(run_id: str) -> list[str]:
    unfinished = [StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED]
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)])),
            task_run_filter=TaskRunFilter(
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=unfinished))
            ),
            limit=50,
        )
    return [str(each.name) for each in runs]


def assert_whole(figures: dict[str, Any]) -> None:
    """The table says how much of the run it leaves out, and where all of it is."""
    with get_client(sync_client=True) as client:
        body = {
            "artifacts": {
                "flow_run_id": {"any_": [figures["run_id"]]},
                "key": {"any_": ["fan-out-items"]},
            }
        }
        (artifact,) = client.request("POST", "/artifacts/filter", json=body).json()
    rows = json.loads(artifact["data"])
    # The total stands first.
    assert len(rows) <= MAX_ROWS + 2
    left_out = rows[-1]
    assert left_out["key"] == f"… {figures['items'] - len(rows) + 2:,} more items"
    path = left_out["result"].partition(": ")[2]
    with open(path, encoding="utf-8") as file:
        assert sum(1 for _ in file) == figures["items"]
