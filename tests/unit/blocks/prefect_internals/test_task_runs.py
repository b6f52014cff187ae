"""What Prefect is told of a task run is what its own engine would tell, to the letter."""

import asyncio
from concurrent.futures import Future
from contextvars import Context
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect import task
from prefect.context import FlowRunContext
from prefect.events.clients import AssertingEventsClient
from prefect.events.schemas.events import RelatedResource
from prefect.events.worker import EventsWorker
from prefect.states import Completed, Failed, Running
from prefect.task_engine import SyncTaskRunEngine

from prefect_governor.blocks.prefect_internals import task_runs

FLOW_RUN = RelatedResource(
    {"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.role": "flow-run"}
)
TAG = RelatedResource({"prefect.resource.id": "prefect.tag.llm", "prefect.resource.role": "tag"})


@task(tags=["llm", "b"], retries=2, retry_delay_seconds=1)
def work(item: int) -> int:
    return item


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events that were sent, with the flow run that their context names."""
    sent: list[Any] = []

    def send(event: Any) -> None:
        sent.append((event, FlowRunContext.get()))

    worker = SimpleNamespace(client_type=AssertingEventsClient, send=send)
    monkeypatch.setattr(EventsWorker, "instance", classmethod(lambda cls: worker))
    monkeypatch.setattr("prefect.events.utilities.should_emit_events", lambda: True)
    monkeypatch.setitem(task_runs._found, "should_emit_events", lambda: True)
    return sent


def knowing(run: Any, related: list[RelatedResource]) -> task_runs.StateEvents:
    events, known = task_runs.StateEvents(), Future[Any]()
    known.set_result(related)
    run.flow_run_id = uuid4()
    events._related[run.flow_run_id] = known
    return events


def made() -> Any:
    return task_runs.task_run_of(
        work, parameters={"item": 1}, wait_for=None, task_run_id=task_runs.new_run_id(), of=None
    )


def test_events_are_those_of_prefects_engine(told: list[Any]) -> None:
    run = made()
    events = knowing(run, [FLOW_RUN, TAG])
    states = [run.state, Running(), Failed(message="no \u2603"), Completed(data=3)]
    follows: Any = None
    for before, after in zip([None, *states], states, strict=False):
        theirs = task_runs._found["emit_task_run_state_change_event"](
            task_run=run, initial_state=before, validated_state=after, follows=follows
        )
        ours = events.emit(run, before, after, follows)
        expected = theirs.model_dump(mode="json")
        # What the worker would have found out, less what is named already.
        expected["related"].append(FLOW_RUN.model_dump())
        assert ours.model_dump(mode="json") == expected
        follows = ours
    assert len(told) == 2 * len(states)


def test_a_state_is_entered_as_by_prefects_engine(told: list[Any]) -> None:
    """Every field of the task run is the same after each step, given the same states."""
    ended = {}
    for whose in ("theirs", "ours"):
        run = made()
        run.id, run.flow_run_id, run.state.id = uuid4(), None, uuid4()
        begun = run.state.timestamp
        engine: Any = SyncTaskRunEngine(task=work, task_run=run)
        events = task_runs.StateEvents()
        states: list[Any] = [Running(), Completed(data=[1])]
        for seconds, state in enumerate(states, start=1):
            state.timestamp = begun + timedelta(seconds=seconds)
            if state.is_running():
                run.start_time = state.timestamp
            if whose == "theirs":
                engine.set_state(state)
            else:
                events.enter(engine, state)
        shown = run.model_dump(mode="json")
        ended[whose] = {
            name: shown[name]
            for name in ("run_count", "total_run_time", "state_type", "state_name")
        }
        assert run.end_time == states[-1].timestamp
        assert run.state.state_details.task_run_id == run.id
    assert ended["ours"] == ended["theirs"]


def test_an_event_is_sent_without_its_runs_context(told: list[Any]) -> None:
    run = made()
    events = knowing(run, [FLOW_RUN])
    context: Any = SimpleNamespace()

    def within() -> None:
        FlowRunContext.__var__.set(context)
        events.emit(run, None, run.state, None)

    Context().run(within)
    ((_, seen),) = told
    assert seen is None


def test_what_cannot_be_found_out_is_left_to_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> Any:
        raise ConnectionError("no server")

    monkeypatch.setattr(task_runs, "_related", fails)
    asked: list[Any] = []
    monkeypatch.setitem(
        task_runs._found, "emit_task_run_state_change_event", lambda **told: asked.append(told)
    )
    run = made()
    events, known = task_runs.StateEvents(), Future[Any]()
    context: Any = SimpleNamespace(model_copy=lambda: SimpleNamespace(__enter__=lambda: None))
    asyncio.run(task_runs._learn(known, context))
    run.flow_run_id = uuid4()
    events._related[run.flow_run_id] = known
    events.emit(run, None, run.state, None)
    assert known.result() is None
    assert len(asked) == 1
