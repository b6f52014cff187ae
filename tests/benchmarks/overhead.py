"""What a tagged no-op task costs: the default runner's `.map` beside ours, in interleaved pairs.

    python -m tests.benchmarks.overhead [--pairs 3] [--tasks 200] [--json]

It starts a Prefect server of its own on loopback, with a `PREFECT_HOME` of its own, and ends it.
Both runners run in this process, one after the other in turns, each after the server has recorded
all that the run before it sent: on SQLite the server's recording keeps the next run waiting, and
that is neither runner's doing. The figures:

* `body`: from `.map(..., return_state=True)` to its return, inside the flow.
* `flow`: from the call of the flow to its end and its events sent, less an empty flow's. Flow
  heartbeats are off: their thread makes every flow end on a whole second after its start.
* requests and events are those this process sends, counted at httpx and at the events client.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.task_runners import TaskRunner

SERVER_START_SECONDS = 90.0
RECORDED_SECONDS = 120.0


@dataclass(frozen=True)
class Run:
    """One flow of `tasks` mapped no-op tasks; times in ms a task, counts a task."""

    runner: str
    body_ms: float
    flow_ms: float
    requests: float
    events: float


@dataclass
class Counts:
    """What this process has sent so far."""

    requests: int = 0
    events: int = 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(home: Path) -> Iterator[str]:
    """A Prefect server on loopback; yields its API's URL. Ended by its process id."""
    port = free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    for inherited in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        environment.pop(inherited, None)
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            api = f"http://127.0.0.1:{port}/api"
            _wait_until_healthy(api, process)
            yield api
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(api: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SERVER_START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the Prefect server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the Prefect server was not up after {SERVER_START_SECONDS:.0f} s")


@contextmanager
def counting() -> Iterator[Counts]:
    """Count the requests and events that this process sends while the block runs."""
    import httpx
    from prefect.events.clients import PrefectEventsClient

    counts = Counts()
    send, asend, emit = httpx.Client.send, httpx.AsyncClient.send, PrefectEventsClient._emit

    def counted_send(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts.requests += 1
        return send(self, *args, **kwargs)

    async def counted_asend(self: Any, *args: Any, **kwargs: Any) -> Any:
        counts.requests += 1
        return await asend(self, *args, **kwargs)

    async def counted_emit(self: Any, event: Any) -> None:
        counts.events += 1
        await emit(self, event)

    patched: list[tuple[Any, str, Any, Any]] = [
        (httpx.Client, "send", send, counted_send),
        (httpx.AsyncClient, "send", asend, counted_asend),
        (PrefectEventsClient, "_emit", emit, counted_emit),
    ]
    for owner, name, _, counted in patched:
        setattr(owner, name, counted)
    try:
        yield counts
    finally:
        for owner, name, original, _ in patched:
            setattr(owner, name, original)


def drain_events() -> None:
    """Return when the events handed over so far have been sent."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all()


def wait_until_recorded(flow_run_id: UUID, tasks: int) -> None:
    """Return when the server shows all task runs of the flow run as completed, and rests."""
    from prefect.client.orchestration import get_client

    body = {
        "flow_runs": {"id": {"any_": [str(flow_run_id)]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    deadline = time.monotonic() + RECORDED_SECONDS
    with get_client(sync_client=True) as client:
        while client.request("POST", "/task_runs/count", json=body).json() < tasks:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server had not recorded the run after {RECORDED_SECONDS} s")
            time.sleep(0.5)
    time.sleep(2)  # the events themselves are stored a little later than the task runs


def run_flow(runner: TaskRunner[Any], tasks: int) -> tuple[float, float, UUID]:
    """One flow; its body's seconds, the seconds to its end with events sent, and its id."""
    from prefect import flow, task
    from prefect.context import FlowRunContext

    @task(tags=["llm"])
    async def no_op(item: int) -> int:
        return item

    @flow(name="overhead", task_runner=runner)
    def measured() -> tuple[float, UUID]:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        began = time.perf_counter()
        states = no_op.map(range(tasks), return_state=True) if tasks else []
        seconds = time.perf_counter() - began
        assert [state.is_completed() for state in states] == [True] * tasks
        return seconds, context.flow_run.id

    began = time.perf_counter()
    body, flow_run_id = measured()
    drain_events()
    return body, time.perf_counter() - began, flow_run_id


def measure(runner: TaskRunner[Any], tasks: int, counts: Counts, empty_seconds: float) -> Run:
    before = Counts(counts.requests, counts.events)
    body, whole, flow_run_id = run_flow(runner, tasks)
    sent = Counts(counts.requests - before.requests, counts.events - before.events)
    wait_until_recorded(flow_run_id, tasks)
    return Run(
        runner=type(runner).__name__,
        body_ms=1000 * body / tasks,
        flow_ms=1000 * (whole - empty_seconds) / tasks,
        requests=sent.requests / tasks,
        events=sent.events / tasks,
    )


def measure_pairs(pairs: int, tasks: int) -> list[tuple[Run, Run]]:
    """`pairs` times the default runner and ours, in turns; what runs first alternates."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.task_runners import ThreadPoolTaskRunner

    from prefect_governor.flows.runner import GovernedTaskRunner

    measured: list[tuple[Run, Run]] = []
    # The thread of a flow's heartbeat makes every flow end on a whole second after its start.
    no_heartbeat = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with no_heartbeat, counting() as counts:
        warm_up: list[TaskRunner[Any]] = [ThreadPoolTaskRunner(), GovernedTaskRunner()]
        for warm in warm_up:
            wait_until_recorded(run_flow(warm, 10)[2], 10)
        empty = min(run_flow(ThreadPoolTaskRunner(), 0)[1] for _ in range(3))
        for pair in range(pairs):
            runs: dict[str, Run] = {}
            order: list[TaskRunner[Any]] = [ThreadPoolTaskRunner(), GovernedTaskRunner()]
            for runner in order if pair % 2 == 0 else reversed(order):
                run = measure(runner, tasks, counts, empty)
                runs[run.runner] = run
                print(_line(run), file=sys.stderr, flush=True)
            measured.append((runs["ThreadPoolTaskRunner"], runs["GovernedTaskRunner"]))
    return measured


def _line(run: Run) -> str:
    return (
        f"  {run.runner:21} body {run.body_ms:6.2f} ms  flow {run.flow_ms:6.2f} ms"
        f"  {run.requests:5.2f} requests  {run.events:4.2f} events  a tagged no-op task"
    )


def summarize(measured: list[tuple[Run, Run]]) -> dict[str, Any]:
    def ratios(figure: str) -> list[float]:
        return [getattr(ours, figure) / getattr(default, figure) for default, ours in measured]

    def medians(side: int) -> dict[str, float]:
        figures = ("body_ms", "flow_ms", "requests", "events")
        return {
            figure: round(statistics.median(getattr(pair[side], figure) for pair in measured), 3)
            for figure in figures
        }

    return {
        "default": medians(0),
        "ours": medians(1),
        "body_ratios": [round(ratio, 3) for ratio in ratios("body_ms")],
        "flow_ratios": [round(ratio, 3) for ratio in ratios("flow_ms")],
        "body_ratio": round(statistics.median(ratios("body_ms")), 3),
        "flow_ratio": round(statistics.median(ratios("flow_ms")), 3),
    }


def report(summary: dict[str, Any], pairs: int, tasks: int) -> str:
    default, ours = summary["default"], summary["ours"]
    lines = [f"a tagged no-op task, medians of {pairs} pairs of {tasks} tasks"]
    for figure, unit in (("body", "ms"), ("flow", "ms")):
        of_pairs = ", ".join(f"{ratio:.2f}" for ratio in summary[f"{figure}_ratios"])
        lines.append(
            f"  {figure:8} default {default[f'{figure}_ms']:7.2f} {unit}"
            f"   ours {ours[f'{figure}_ms']:7.2f} {unit}"
            f"   ratio {summary[f'{figure}_ratio']:.3f}  (pairs: {of_pairs})"
        )
    for figure in ("requests", "events"):
        lines.append(f"  {figure:8} default {default[figure]:7.2f}      ours {ours[figure]:7.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.overhead")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print the figures as one object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder, server(Path(folder)) as api:
        # Read by Prefect when it is imported, which is why no import of it stands above.
        os.environ.update(
            PREFECT_API_URL=api,
            PREFECT_HOME=folder,
            PREFECT_LOGGING_LEVEL="ERROR",
            DO_NOT_TRACK="1",
        )
        measured = measure_pairs(options.pairs, options.tasks)
    summary = summarize(measured)
    if options.json:
        pairs = [[asdict(run) for run in pair] for pair in measured]
        print(json.dumps({**summary, "pairs": pairs}))
    else:
        print(report(summary, options.pairs, options.tasks))


if __name__ == "__main__":
    main()
