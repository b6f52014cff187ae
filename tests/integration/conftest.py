"""One real Prefect server for all tests of a folder, and what they need to run a fan-out."""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prefect.context
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.logging.configuration import setup_logging

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.agent import loop
from prefect_governor.flows.agent.keeping import Result
from prefect_governor.flows.server.background import BackgroundServer, ServerInfo
from tests.engine import skip_loudly
from tests.integration.databases import Databases
from tests.postgres import PostgresServer, shared_server
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

# What fails in these says with what, as a test does.
pytest.register_assert_rewrite(
    "tests.integration.cli.budgets",
    "tests.integration.ledger.faults",
    "tests.integration.models.bill",
)

WORDS = ("budget", "ceiling", "ledger", "slot", "rate", "queue", "reply", "token", "parcel")

Corpus = Callable[..., list[Path]]

# Of the servers of the tests, which stand still for half of the time: what looks every few seconds
# for what no test brings about is half of what they take then.
SERVICES = {
    f"PREFECT_SERVER_SERVICES_{name}": value
    for name, value in {
        # What writes to SQLite beside the flows has them answered 503 and wait for seconds.
        "EVENT_PERSISTER_ENABLED": "false",
        "TRIGGERS_ENABLED": "false",
        "CLEANUP_RECONCILER_ENABLED": "false",
        "FOREMAN_ENABLED": "false",
        "LATE_RUNS_ENABLED": "false",
        "CANCELLATION_CLEANUP_LOOP_SECONDS": "60",
        "PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
        # A new schedule's runs are made at its next look, which is a minute away.
        "SCHEDULER_LOOP_SECONDS": "10",
    }.items()
}


@pytest.fixture(scope="package")
def server(databases: Databases) -> Iterator[ServerInfo]:
    """A server of these tests' own, started as a user's would be."""
    from prefect_governor.blocks.work.registry import stop_all
    from prefect_governor.flows.server.server import ensure_server, stop_server, use_server

    os.environ.update(SERVICES)
    _forget_events_client()
    keep_to_a_port_of_its_own(BackgroundServer(state_folder()))
    with databases.begin(state_folder().parent):
        info = ensure_server()
    use_server(info)
    # The first flow does so, which would take `caplog`'s handler away from a test under way.
    setup_logging()
    yield info
    stop_all()
    _forget_events_client()
    stop_server()
    # Other tests are of a machine without a server.
    os.environ.pop("PREFECT_API_URL", None)
    vars(prefect.context)["GLOBAL_SETTINGS_CONTEXT"] = prefect.context.root_settings_context()


def keep_to_a_port_of_its_own(server: BackgroundServer) -> None:
    """Not the usual one, which another worker's server may take while this one is restarted: it
    would be taken for this one, and told of runs that it does not know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server.record.parent.mkdir(parents=True, exist_ok=True)
    server.record.write_text(json.dumps({"pid": None, "port": port}))


def _forget_events_client() -> None:
    """Prefect keeps one for the life of a process, at the server that it first spoke to. Another
    that has the same port by now would be told of runs that it does not know, again and again."""
    EventsWorker.drain_all(timeout=5, at_exit=False)


@pytest.fixture(scope="session")
def provider_process() -> Iterator[ProviderProcess]:
    with ProviderProcess() as process:
        yield process


@pytest.fixture
def upstream(provider_process: ProviderProcess, monkeypatch: pytest.MonkeyPatch) -> ProviderProcess:
    """The strict provider, as new, as what OpenAI's names reach."""
    provider_process.settled_stats()
    provider_process.renew()
    monkeypatch.setenv("OPENAI_API_BASE", provider_process.api_base)
    monkeypatch.setenv("OPENAI_BASE_URL", provider_process.api_base)
    # What a test teaches of the provider's limits is kept by key: it is no matter of the next.
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-test-{uuid.uuid4().hex[:16]}")
    return provider_process


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """`corpus(n, words=…)` makes n text files; the same ones each time."""

    def make(count: int, *, words: int = 60) -> list[Path]:
        folder = tmp_path / "corpus"
        folder.mkdir()
        draw = random.Random(count)
        paths = [folder / f"item-{at:04d}.txt" for at in range(count)]
        for path in paths:
            path.write_text(" ".join(draw.choice(WORDS) for _ in range(words)))
        return paths

    return make


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def postgres_server() -> PostgresServer:
    return shared_server()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for what one test alone saves."""
    return f"{request.path.stem.removeprefix('test_').replace('_', '-')}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def sandboxes() -> None:
    """Programs can be run in sandboxes here; where they cannot, what needs them is skipped."""
    from prefect_governor.blocks.errors import ConfigurationError
    from prefect_governor.blocks.sandbox import Sandbox

    try:
        asyncio.run(Sandbox().chosen())
    except ConfigurationError as refused:
        skip_loudly(f"NOT TESTED, {refused}")


@pytest.fixture
def put_out_of_work() -> Iterator[None]:
    """Nothing of one test keeps asking the server in the next."""
    from prefect_governor.blocks.work.registry import stop_all

    yield
    stop_all()


@pytest.fixture
def command(
    server: ServerInfo, upstream: ProviderProcess, warm: WarmParent
) -> Callable[..., subprocess.Popen[str]]:
    """Starts `prefect-governor …` in a process of its own, against the session's server; `cold`:
    one that imports what it needs, as a user's does."""

    def start(
        *arguments: str, cwd: Path | None = None, cold: bool = False
    ) -> "subprocess.Popen[str]":
        words = ("-m", "prefect_governor.flows.cli", *arguments)
        return subprocess.Popen(
            [sys.executable, *words] if cold else warm.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    return start


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What tools said to sub-agents, or had said before."""
    answers: list[str] = []
    result = loop._Caller.result

    async def noted(*args: Any, **options: Any) -> Result:
        answers.append((answer := await result(*args, **options)).told.text)
        return answer

    monkeypatch.setattr(loop._Caller, "result", noted)
    return answers
