"""Brings real runs into each state that a run can be in, on whatever server is the process's.

Each function gives the flow run's id, with the run in that state; `ENDINGS` has them by name. What
is held there (paused, running) goes on or ends when the stage is left.
"""

import contextvars
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling
from typing_extensions import Self

from prefect_governor import Budget, Governor, RunFailed, fan_out
from prefect_governor.flows.recovery.sweep import publish_waiting
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.endings.door import Door
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.waiting import A_LOOK_AT_THE_SERVER, until

MODEL = "openai/gpt-4o-mini"
# An answer that is still under way when its run is ended takes so long, in seconds.
SLOW_SECONDS = 3.0
KEYS = ("north", "south", "east")
_SECONDS = 120.0
# So long an ended process may take, in seconds: less than the 30 s that others wait for a server.
_TOLD_SECONDS = 25.0


class Stage:
    """What runs are brought about with.

    Args:
        client: of Prefect's server.
        provider: what answers the model's calls.
        command: the words that start a Python module in a process of its own.
    """

    def __init__(
        self,
        client: SyncPrefectClient,
        provider: ProviderProcess,
        command: Callable[..., list[str]],
    ) -> None:
        self.client, self.provider, self.command = client, provider, command
        self.closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.close()

    def state(self, run_id: UUID) -> str:
        """Its name."""
        state = self.client.read_flow_run(run_id).state
        return "" if state is None else str(state.name)

    def begin(self, run: FlowRun | None = None, **options: Any) -> "Running":
        """A run in a thread, which ends before the stage is left."""
        running = Running(run, options)
        self.closing.callback(running.end)
        return running

    def process(self, *, api_url: str | None = None, **options: Any) -> Talk:
        """A run in a process of its own."""
        words = self.command("-m", "tests.integration.endings.program", json.dumps(options))
        reached = {}
        if api_url is not None:
            # Prefect's own client tries for a minute before it says that nobody answers.
            reached = {"PREFECT_API_URL": api_url, "PREFECT_CLIENT_MAX_RETRIES": "0"}
        return self.closing.enter_context(Talk(words, env={**os.environ, **reached}))


class Running:
    """A run in a thread: as a script has it, or of a deployment as its worker's process has it."""

    def __init__(self, run: FlowRun | None, options: dict[str, Any]) -> None:
        self._run, self._options = run, options
        self._started = threading.Event()
        self.run_id = "" if run is None else str(run.id)
        self.done: list[str] = []
        self.control = Control(started=self._tell, told=lambda item: self.done.append(item.key))
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._go,))
        self._thread.start()

    def started(self) -> UUID:
        assert self._started.wait(_SECONDS)
        return UUID(self.run_id)

    def end(self) -> None:
        self.control.stop.set()
        self._thread.join(_SECONDS)

    def ended(self) -> None:
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()

    def _tell(self, run_id: str) -> None:
        self.run_id = run_id
        self._started.set()

    def _go(self) -> None:
        current_control.set(self.control)
        if self._run is None:
            # Prefect raises where a run was cancelled; its state says so.
            with suppress(Exception):
                fan_out(**self._options)
            return
        run_flow(
            cast(Any, fan_out),
            flow_run=self._run,
            parameters=self._run.parameters,
            return_type="state",
        )


def asked(*keys: str, **options: Any) -> dict[str, Any]:
    """Of a fan-out over items of these keys."""
    items = [{"key": key, "text": f"the text of {key}: nothing much"} for key in keys]
    settings = {"ask": "What is this?", "model": MODEL, "max_output_tokens": 24}
    return {"items": items, **settings, **options}


def ended_run(options: dict[str, Any]) -> UUID:
    """Of a run that goes to its own end."""
    try:
        report = fan_out(**options)
    except RunFailed as failed:
        report = failed.report
    return UUID(report.run_id)


def complete(stage: Stage) -> UUID:
    stage.provider.renew(output_tokens=12)
    return ended_run(asked(*KEYS))


def partial(stage: Stage) -> UUID:
    stage.provider.renew(script=[{"match": "of south:", "reply": {"status": 400, "text": "no"}}])
    return ended_run(asked(*KEYS))


def failed(stage: Stage) -> UUID:
    stage.provider.renew(script={".": {"status": 400, "text": "no"}})
    return ended_run(asked("north", "south"))


def over_budget(stage: Stage) -> UUID:
    """The ceiling takes one call's bound and not two."""
    stage.provider.renew(output_tokens="max")
    return ended_run(asked(*KEYS, max_usd="0.00005", max_concurrent=1))


def paused_for_money(stage: Stage) -> UUID:
    stage.provider.renew(output_tokens="max")
    name = f"paused-{uuid4().hex[:8]}"
    Governor(budget=Budget(max_usd="0.00005"), when_spent="pause", pause_timeout_seconds=600).save(
        name
    )
    running = stage.begin(**asked(*KEYS, governor=name, max_concurrent=1))
    run_id = running.started()

    def waits() -> bool:
        progress = [
            each.description or ""
            for each in artifacts(stage.client, run_id)
            if each.type == "progress"
        ]
        return any("paused" in each for each in progress)

    until(waits, seconds=_SECONDS, every=A_LOOK_AT_THE_SERVER)
    return run_id


def paused_for_approval(stage: Stage) -> UUID:
    stage.provider.renew()
    deployment = stage.client.create_deployment(
        stage.client.create_flow(fan_out), name=f"approved-{uuid4().hex[:8]}"
    )
    run = stage.client.create_flow_run_from_deployment(
        deployment, parameters=asked("north", "south", ask_above_usd="0.000001")
    )
    running = stage.begin(run)

    def turn_down() -> None:
        resume_flow_run(run.id, run_input={"go_ahead": False})
        running.ended()

    stage.closing.callback(turn_down)
    until(lambda: stage.state(run.id) == "Paused", seconds=_SECONDS, every=A_LOOK_AT_THE_SERVER)
    return run.id


def slow(stage: Stage) -> None:
    """Of items in turn, the first is answered at once, and the next take their time."""
    late = {"text": "late", "latency_seconds": SLOW_SECONDS}
    stage.provider.renew(script=[{"match": ".", "reply": ["at once", late]}])


IN_TURN = {"max_concurrent": 1, "items_per_task": 1}


def cancelled(stage: Stage) -> UUID:
    """On its page, of a run that no worker supervises."""
    slow(stage)
    running = stage.begin(**asked(*KEYS, **IN_TURN))
    run_id = running.started()
    until(lambda: bool(running.done), seconds=_SECONDS)
    stage.client.set_flow_run_state(run_id, Cancelling())
    running.ended()
    return run_id


def terminated(stage: Stage) -> UUID:
    """By SIGTERM, as of a worker that is cancelled or a container that is stopped."""
    slow(stage)
    talk = stage.process(**asked(*KEYS, **IN_TURN))
    run_id = one_item_done(talk)
    talk.process.send_signal(signal.SIGTERM)
    # As Prefect has it: the process ends by the signal, once the flow has been left.
    assert talk.process.wait(_SECONDS) == -signal.SIGTERM
    return run_id


def research_terminated(stage: Stage) -> UUID:
    """By SIGTERM, while the second of three sub-questions is under way."""
    slow(stage)
    folder = stage.closing.enter_context(tempfile.TemporaryDirectory())
    Path(folder, "notes.txt").write_text("north is up, and south is down")
    tasks = [{"id": key, "objective": f"Which way is {key}?"} for key in KEYS]
    talk = stage.process(
        flow="research",
        question="Which way is it?",
        corpus=["*.txt"],
        folder=folder,
        plan={"tasks": tasks},
        model=MODEL,
        max_output_tokens=24,
        max_rounds=0,
        max_concurrent=1,
    )
    run_id = UUID(talk.hear(_SECONDS))
    until(lambda: stage.provider.stats()["requests"] >= 2, seconds=_SECONDS)
    talk.process.send_signal(signal.SIGTERM)
    assert talk.process.wait(_SECONDS) == -signal.SIGTERM
    return run_id


def crashed(stage: Stage) -> UUID:
    """By SIGKILL; told by the next of our processes."""
    slow(stage)
    talk = stage.process(**asked(*KEYS, **IN_TURN))
    run_id = one_item_done(talk)
    talk.process.kill()
    talk.process.wait(_SECONDS)
    published(run_id)
    return run_id


def server_lost(stage: Stage) -> UUID:
    """Away at the end, and not back before the process left."""
    slow(stage)
    with Door(PREFECT_API_URL.value() or "") as door:
        talk = stage.process(api_url=door.url, **asked(*KEYS, patience=0.5, **IN_TURN))
        run_id = one_item_done(talk)
        door.shut()
        heard_end(talk)
        # Prefect waits at the process's exit for a server to take its events.
        talk.process.kill()
        talk.process.wait(_SECONDS)
    published(run_id)
    return run_id


def one_item_done(talk: Talk) -> UUID:
    """The run of a process, once the first of its items has its outcome."""
    run_id = UUID(talk.hear(_SECONDS))
    assert talk.hear(_SECONDS) in KEYS
    return run_id


def terminated_unheard(stage: Stage) -> UUID:
    """By SIGTERM, while Prefect's server is away: nobody there hears how it ended."""
    slow(stage)
    with Door(PREFECT_API_URL.value() or "") as door:
        talk = stage.process(api_url=door.url, **asked(*KEYS, **IN_TURN))
        run_id = one_item_done(talk)
        door.shut()
        talk.process.send_signal(signal.SIGTERM)
        # Whoever says so gives it little time: it does not wait for the server.
        heard_end(talk, within=_TOLD_SECONDS)
        # Prefect waits at the process's exit for a server to take its events.
        talk.process.kill()
        talk.process.wait(_SECONDS)
    published(run_id)
    return run_id


def heard_end(talk: Talk, *, within: float = _SECONDS) -> str:
    """What a run ended with, as its process told within so many seconds of its last item."""
    heard = KEYS[0]
    while heard in KEYS:
        heard = talk.hear(within)
    return heard


def published(run_id: UUID) -> None:
    """As the next process of ours does. Waits for the lock of one that was killed."""
    until(
        lambda: any(each.written for each in publish_waiting(str(run_id))),
        seconds=_SECONDS,
        every=A_LOOK_AT_THE_SERVER,
    )


def artifacts(client: SyncPrefectClient, run_id: UUID) -> list[Artifact]:
    """Of a run, in the order in which its page has them."""
    answer = client.request(
        "POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [str(run_id)]}}}
    )
    return [Artifact.model_validate(each) for each in cast(Sequence[Any], answer.json())]


ENDINGS: dict[str, Callable[[Stage], UUID]] = {
    "complete": complete,
    "partial": partial,
    "failed": failed,
    "over budget": over_budget,
    "paused for money": paused_for_money,
    "paused for approval": paused_for_approval,
    "cancelled": cancelled,
    "terminated": terminated,
    "crashed": crashed,
    "server lost": server_lost,
}
