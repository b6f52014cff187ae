"""A deployed run over its bar waits for a person, through Prefect's own pause and API."""

import contextvars
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from prefect.states import Cancelling

from prefect_governor import fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.estimate import approval
from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def deployment(server: object) -> UUID:
    with get_client(sync_client=True) as opened:
        return opened.create_deployment(
            opened.create_flow(fan_out),
            name="asks-first",
            entrypoint="prefect_governor.flows.fan_out_flow.fan_out",
        )


@pytest.fixture
def start(
    client: SyncPrefectClient, deployment: UUID, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FlowRun]:
    """A run of the deployment over three files, not begun yet; it looks for its answer often."""
    monkeypatch.setattr(approval, "LOOK_SECONDS", 0.1)
    folder = corpus(3)[0].parent

    def make(**parameters: Any) -> FlowRun:
        given = {"sources": ["."], "folder": str(folder), "ask": "Dear?", "model": MODEL,
                 "max_output_tokens": 200, "ask_above_usd": "0.00001", **parameters}  # fmt: skip
        return client.create_flow_run_from_deployment(deployment, parameters=given)

    return make


class Running:
    """A flow run under way in a thread, as its worker's process would have it."""

    def __init__(self, run: FlowRun) -> None:
        self.state: State[Any] | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._go, run))
        self._thread.start()

    def _go(self, run: FlowRun) -> None:
        self.state = run_flow(fan_out, flow_run=run, parameters=run.parameters, return_type="state")  # type: ignore[assignment, arg-type]

    def ended(self) -> "State[Any]":
        self._thread.join(timeout=180)
        assert self.state is not None
        return self.state


def wait_for(what: Callable[[], Any], *, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return found


def paused(client: SyncPrefectClient, run_id: UUID) -> Callable[[], bool]:
    return lambda: bool((state := client.read_flow_run(run_id).state) and state.is_paused())


def question(client: SyncPrefectClient, run_id: UUID) -> str | None:
    """What the paused run asks, once it is there: Prefect writes the form's parts one by one."""
    parts = client.filter_flow_run_input(run_id, "paused-estimate-1", limit=10, exclude_keys=set())
    return next((each.value for each in parts if each.key.endswith("description")), None)


def test_run_over_its_bar_waits_and_starts_when_a_person_resumes_it(
    client: SyncPrefectClient, start: Callable[..., FlowRun], upstream: ProviderProcess
) -> None:
    run = start()
    running = Running(run)
    wait_for(paused(client, run.id))
    description = wait_for(lambda: question(client, run.id))
    assert "3 calls of openai/gpt-4o-mini will cost about $0.00" in description
    assert "bottleneck" in description
    assert upstream.settled_stats()["requests"] == 0
    resume_flow_run(run.id, run_input={"go_ahead": True})
    state = running.ended()
    assert state.is_completed()
    assert upstream.settled_stats()["requests"] == 3
    # Taken up again it was asked about already: what is paid for is not asked for twice.
    assert desk().store.read_spend("run_id", {"run_id": str(run.id)})


def test_run_that_is_turned_down_ends_as_cancelled_without_a_call(
    client: SyncPrefectClient, start: Callable[..., FlowRun], upstream: ProviderProcess
) -> None:
    run = start()
    running = Running(run)
    wait_for(paused(client, run.id))
    resume_flow_run(run.id, run_input={"go_ahead": False})
    state = running.ended()
    assert state.is_cancelled()
    assert "turned down" in str(state.message)
    assert upstream.settled_stats()["requests"] == 0


def test_run_that_nobody_answers_fails_without_a_call(
    client: SyncPrefectClient,
    start: Callable[..., FlowRun],
    upstream: ProviderProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(approval, "ANSWER_SECONDS", 1)
    run = start()
    state = Running(run).ended()
    assert state.is_failed()
    assert "never resumed" in str(state.message)
    assert upstream.settled_stats()["requests"] == 0


def test_run_that_is_cancelled_while_it_waits_ends_without_a_call(
    client: SyncPrefectClient,
    start: Callable[..., FlowRun],
    upstream: ProviderProcess,
    tmp_path: Path,
    warm: WarmParent,
) -> None:
    run = start()
    with (tmp_path / "run.log").open("w") as log:
        process = subprocess.Popen(
            warm.command("-m", "prefect", "flow-run", "execute", str(run.id)),
            stdout=log, stderr=log, env={**os.environ, "PREFECT_RUNNER_POLL_FREQUENCY": "1"},
        )  # fmt: skip
    try:
        wait_for(paused(client, run.id), seconds=90)
        client.set_flow_run_state(run.id, Cancelling())
        wait_for(
            lambda: (state := client.read_flow_run(run.id).state) and state.is_cancelled(),
            seconds=180,
        )
        process.wait(timeout=180)
    finally:
        process.kill()
        process.wait()
        print((tmp_path / "run.log").read_text()[-3000:])
    assert upstream.settled_stats()["requests"] == 0


def test_run_under_its_bar_does_not_wait(
    start: Callable[..., FlowRun], upstream: ProviderProcess
) -> None:
    assert Running(start(ask_above_usd="1")).ended().is_completed()
    assert upstream.settled_stats()["requests"] == 3


def test_run_without_a_deployment_has_nobody_to_ask(
    corpus: Corpus, upstream: ProviderProcess
) -> None:
    items = corpus(3)
    with pytest.raises(ConfigurationError, match="without a deployment"):
        fan_out(items, ask="Dear?", model=MODEL, ask_above_usd="0.00001")
    with pytest.raises(ConfigurationError, match="ask_above_usd"):
        fan_out(items, ask="Dear?", model=MODEL, ask_above_usd="-1")
    assert upstream.settled_stats()["requests"] == 0
