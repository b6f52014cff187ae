"""What the benchmarks share: a Prefect server of their own, and counts of what is sent to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

SERVER_START_SECONDS = 90.0
RECORDED_SECONDS = 120.0


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
    with served(home) as (api, _):
        yield api


@contextmanager
def served(home: Path) -> Iterator[tuple[str, int]]:
    """As `server`; yields its process id beside."""
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
            yield api, process.pid
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
def counting(api: str) -> Iterator[Counts]:
    """Count the requests to an API and the events that this process sends while the block runs."""
    import httpx
    from prefect.events.clients import PrefectEventsClient

    counts = Counts()
    send, asend, emit = httpx.Client.send, httpx.AsyncClient.send, PrefectEventsClient._emit

    def counted_send(self: Any, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        counts.requests += str(request.url).startswith(api)
        return send(self, request, *args, **kwargs)

    async def counted_asend(self: Any, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        counts.requests += str(request.url).startswith(api)
        return await asend(self, request, *args, **kwargs)

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


def promise(what: str, figure: float, limit: float, *, least: bool = False) -> str:
    """A line that says whether a figure is what was promised."""
    holds = figure >= limit if least else figure <= limit
    bound = "at least" if least else "at most"
    return f"{what}: {figure:.2f}, {bound} {limit:g}: {'holds' if holds else 'DOES NOT HOLD'}"
