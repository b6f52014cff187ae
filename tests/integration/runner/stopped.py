"""One cell of the table of stops: a flow that is stopped, and what was found of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelling

from prefect_governor.blocks.work.ledgers import desk
from tests import ROOT
from tests.integration.runner.stops import CAP, FLOWS
from tests.provider.process import ProviderProcess
from tests.talk import Talk

Stop = Literal["interrupt", "twice", "terminate", "cancel", "worker", "timeout"]
# Long after any flow of these has ended.
WATCHDOG_SECONDS = 100.0
# A flow's; its calls take as long, so that those it begins with are in flight when it is over.
# Those that begin late in it, as on a busy machine, are cut.
TIMEOUT_SECONDS = 20.0


@dataclass
class Found:
    """What became of it. Times are seconds after the stop."""

    requests: int
    in_flight: int
    late_calls: list[tuple[str, float]]
    late_begun: list[tuple[int, float]]
    succeeded: int
    completed: int
    left: float | None
    seconds: float
    ended: int | None
    state: str
    reserved: int
    unconfirmed: int

    def row(self, stop: Stop, name: str) -> str:
        return (
            f"{stop:10} {name:18} in flight {self.in_flight:3}, calls after {len(self.late_calls)}"
            f" {self.late_calls[:2]}, begun after {len(self.late_begun)} {self.late_begun[:2]},"
            f" succeeded {self.succeeded}, completed {self.completed},"
            f" reserved {self.reserved}, unconfirmed {self.unconfirmed},"
            f" left after {self.left} s, ended after {self.seconds:5.1f} s,"
            f" exit {self.ended}, {self.state}"
        )


def wait_for(what: Callable[[], Any], *, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return found


class Notes:
    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def of(self, what: str) -> list[dict[str, Any]]:
        return [each for each in self.all() if each["what"] == what]


def run_of(client: SyncPrefectClient, name: str, known: set[UUID]) -> FlowRun | None:
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOWS[name].name])),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    )
    return next((each for each in runs if each.id not in known), None)


def known_runs(client: SyncPrefectClient) -> set[UUID]:
    return {each.id for each in client.read_flow_runs()}


def stopped(
    stop: Stop,
    name: str,
    *,
    programs: Talk,
    provider: ProviderProcess,
    client: SyncPrefectClient,
    folder: Path,
    latency_seconds: float = 2.0,
    expected: int = CAP,
) -> Found:
    """Run the flow, stop it while `expected` calls are in flight, and see it end."""
    if stop == "timeout":
        latency_seconds = TIMEOUT_SECONDS
    elif stop == "cancel":
        # In flight until the run has looked: it learns of this one only then.
        latency_seconds *= 2
    provider.renew(latency_seconds=latency_seconds, output_tokens=5)
    notes = Notes(folder / "notes.jsonl")
    known = known_runs(client)
    process: subprocess.Popen[Any] | None = None
    if stop == "worker":
        deployment = client.create_deployment(
            client.create_flow(FLOWS[name]),
            name=f"stops-{name}",
            entrypoint=f"tests.integration.runner.stops.{name}",
        )
        run_id = client.create_flow_run_from_deployment(deployment).id
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "flow-run", "execute", str(run_id)],
            cwd=ROOT,
            env={
                **os.environ,
                "STOPS_LOG": str(notes.path),
                "PYTHONPATH": str(ROOT),
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                "OPENAI_API_BASE": provider.api_base,
                "OPENAI_API_KEY": "sk-test-stops",
            },
        )
        pid = process.pid
    else:
        seconds_given = TIMEOUT_SECONDS if stop == "timeout" else None
        programs.say({"flow": name, "log": str(notes.path), "timeout_seconds": seconds_given})
        pid = programs.hear()
    at: float | None = None
    try:
        wait_for(lambda: provider.stats()["open"] >= expected, seconds=150)
        # What else can begin has begun.
        time.sleep(0.4)
        if stop != "worker":
            run_id = wait_for(lambda: run_of(client, name, known)).id
        supervised = [] if process is None else psutil.Process(pid).children(recursive=True)
        at = time.monotonic()
        if stop in ("interrupt", "twice"):
            os.kill(pid, signal.SIGINT)
            if stop == "twice":
                time.sleep(1.0)
                os.kill(pid, signal.SIGINT)
        elif stop == "terminate":
            os.kill(pid, signal.SIGTERM)
        elif stop == "timeout":
            at = notes.of("flow")[0]["at"] + TIMEOUT_SECONDS
        else:
            client.set_flow_run_state(run_id, Cancelling())
        ended: int | None = None
        if process is None:
            ended = programs.hear(WATCHDOG_SECONDS)
        else:
            _, left = psutil.wait_procs(supervised, timeout=WATCHDOG_SECONDS)
            assert not left
        seconds = time.monotonic() - at
        if process is not None:
            # The supervisor says so, and takes a minute of its own to end (Prefect 3.8.8).
            wait_for(lambda: "CANCELLING" not in _state(client, run_id))
    except (AssertionError, subprocess.TimeoutExpired):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        ended, seconds = (None if process is not None else programs.hear(20)), float("inf")
        if at is None:
            raise
    finally:
        if process is not None:
            process.kill()
            process.wait()
    log = provider.log()
    in_flight = [each for each in log if each["arrival"] <= at and (each["end"] or at + 1) >= at]
    store = desk().store
    tasks = client.read_task_runs(
        task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run_id]))
    )
    return Found(
        requests=len(log),
        in_flight=len(in_flight),
        late_calls=[
            (each["tag"], round(each["arrival"] - at, 2)) for each in log if each["arrival"] > at
        ],
        late_begun=[
            (each["item"], round(each["at"] - at, 2))
            for each in notes.of("begun")
            # The signal has not reached it in the moment that it is sent.
            if each["at"] > at + 0.2
        ],
        succeeded=len(notes.of("succeeded")),
        completed=sum(each.state is not None and each.state.is_completed() for each in tasks),
        left=next((round(each["at"] - at, 1) for each in notes.of("left")), None),
        seconds=seconds,
        ended=ended,
        state=_state(client, run_id),
        reserved=sum(1 for each in store.read_calls(("reserved",)) if _is(each, run_id)),
        unconfirmed=sum(1 for each in store.read_calls(("unconfirmed",)) if _is(each, run_id)),
    )


def _is(call: Any, run_id: UUID) -> bool:
    return bool(call.attribution.flow_run_id == str(run_id))


def _state(client: SyncPrefectClient, run_id: UUID) -> str:
    state = client.read_flow_run(run_id).state
    return "none" if state is None else f"{state.type.value}/{state.name}"
