"""Task runs: their ids, how one is made, and the events that tell Prefect of their states, with
what is the same for all of a flow run found out once.

Prefect's worker of events asks anew for each of a task run's three events what the run is part of
(its flow run, flow, deployment, work queue and pool, their tags), in four tasks of its loop, and
the engine subtracts pendulum's instants. Together that was a quarter of an empty task's time, see
docs/decisions/package/0084-an-empty-task.md. A test holds an event made here to Prefect's own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from prefect.context import FlowRunContext
from prefect.results import should_persist_result
from prefect.utilities.text import truncated_to

from prefect_governor.blocks.prefect_internals.clients import ONE_EACH
from prefect_governor.blocks.prefect_internals.names import find
from prefect_governor.blocks.prefect_internals.waiting import result_of

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.events.schemas.events import Event, RelatedResource

logger = logging.getLogger("prefect_governor.prefect")

_ITS_OWN = "Prefect finds out anew for each event what its task run is part of, which is slower"
_MODULES = {
    "prefect.utilities.engine": (
        "emit_task_run_state_change_event", "link_state_to_task_run_result",
    ),
    "prefect.events.related": ("related_resources_from_run_context", "tags_as_related_resources"),
    "prefect.events.worker": ("EventsWorker", "should_emit_events"),
    "prefect.results": ("ResultRecord",),
    "prefect.task_engine": ("_create_task_run_locally",),
}  # fmt: skip
_found = {
    name: find(module, name, instead=_ITS_OWN)
    for module, names in _MODULES.items()
    for name in names
}
# UUIDs of version 7, which Prefect makes in the order of the runs' submission.
new_run_id: Callable[[], UUID] = (
    find("prefect._internal.uuid7", "uuid7", instead="task runs get random ids, without an order")
    or uuid4
)
_vars = [
    find("prefect.context", f"{name}.__var__", instead=ONE_EACH)
    for name in ("FlowRunContext", "TaskRunContext")
]
KNOWN = None not in (*_found.values(), *_vars)
# No run's context: what Prefect's worker finds none in it does not ask about.
_NO_RUN = Context()
for _var in _vars if KNOWN else ():
    _NO_RUN.run(_var.set, None)

# How long tasks wait at most to know it, in seconds.
LEARN_SECONDS = 5.0
# What a message in an event is cut to, as Prefect's own is.
_MESSAGE_CHARACTERS = 100_000
_OF_STATES = {"flow_run_id", "task_run_id"}
_NOT_OF_RUNS = {
    "id", "created", "updated", "flow_run_id", "state_id", "state_type", "state_name", "state",
    "estimated_start_time_delta", "estimated_run_time",
}  # fmt: skip


class StateEvents:
    """Events of the task runs of a task runner, from any thread."""

    def __init__(self) -> None:
        # By flow run, what it is part of; None where that cannot be found out.
        self._related: dict[UUID, concurrent.futures.Future[list[RelatedResource] | None]] = {}
        self._lock = threading.Lock()

    async def learn(self) -> None:
        """Find out what the flow run of the context is part of, once; the first task finds it out,
        and others wait for that. Where it cannot be, events are sent as Prefect's engine does."""
        known, context = self._known()
        if context is not None:
            await _learn(known, context)
        elif known is not None and not known.done():
            await asyncio.wait([asyncio.wrap_future(known)])

    def learn_blocking(self) -> None:
        """The same for a thread."""
        known, context = self._known()
        if context is not None:
            result_of(_learn(known, context))
        elif known is not None:
            known.result()

    def _known(self) -> tuple[Any, FlowRunContext | None]:
        """What will be known, and the context of a flow run that nobody has looked at yet."""
        context = FlowRunContext.get() if KNOWN else None
        if context is None or context.flow_run is None:
            return None, None
        key = context.flow_run.id
        with self._lock:
            new = key not in self._related
            if new:
                self._related[key] = concurrent.futures.Future()
            return self._related[key], context if new else None

    def emit(
        self, run: TaskRun, before: State[Any] | None, after: State[Any], follows: Event | None
    ) -> Any:
        """Send the event of a state; the event, where it was sent."""
        known = None if run.flow_run_id is None else self._related.get(run.flow_run_id)
        related = None if known is None or not known.done() else known.result()
        if related is None:
            return _found["emit_task_run_state_change_event"](
                task_run=run, initial_state=before, validated_state=after, follows=follows
            )
        try:
            return _sent(run, before, after, follows, related)
        except Exception:
            # Prefect's own says what is wrong with it.
            return _found["emit_task_run_state_change_event"](
                task_run=run, initial_state=before, validated_state=after, follows=follows
            )

    def enter(self, engine: Any, state: State[Any]) -> State[Any]:
        """A task run's next state: the engines' `set_state`, step by step."""
        run, last = engine.task_run, engine.state
        run.state = state
        if last.timestamp == state.timestamp:
            state.timestamp += timedelta(microseconds=1)
        state.state_details.task_run_id = run.id
        state.state_details.flow_run_id = run.flow_run_id
        run.state_id, run.state_type, run.state_name = state.id, state.type, state.name
        if last.is_running():
            seconds = state.timestamp.timestamp() - last.timestamp.timestamp()
            run.total_run_time += timedelta(seconds=seconds)
        if state.is_running():
            run.run_count += 1
        if state.is_final():
            if run.start_time and not run.end_time:
                run.end_time = state.timestamp
            data: Any = state.data
            result = data.result if isinstance(data, _found["ResultRecord"]) else data
            _found["link_state_to_task_run_result"](state, result)
        engine._last_event = self.emit(run, last, state, engine._last_event)
        engine._telemetry.update_state(state)
        return state


def task_run_of(task: Any, *, parameters: Any, wait_for: Any, task_run_id: UUID, of: Any) -> Any:
    """The task run that Prefect's engine for threads makes; the one for loops makes the same, in
    more steps. `of`: what it depends on beside its parameters."""
    return _found["_create_task_run_locally"](
        task,
        id=task_run_id,
        parameters=parameters,
        wait_for=wait_for,
        extra_task_inputs=of,
    )


async def _learn(
    known: concurrent.futures.Future[list[RelatedResource] | None], context: FlowRunContext
) -> None:
    found = None
    try:
        # Of the flow run alone: not of the task that this one was begun in.
        alone = Context()
        alone.run(context.model_copy().__enter__)
        found = await asyncio.wait_for(alone.run(asyncio.ensure_future, _related()), LEARN_SECONDS)
    except Exception as error:
        logger.debug("what a flow run is part of could not be read: %r", error)
    finally:
        known.set_result(found)


async def _related() -> list[RelatedResource] | None:
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    async with get_client() as client:
        found: list[RelatedResource] = await _found["related_resources_from_run_context"](client)
    # Of more, Prefect's own leaves out what is too many.
    most = get_current_settings().server.events.maximum_related_resources
    return found if len(found) <= most // 2 else None


def _sent(
    run: TaskRun,
    before: State[Any] | None,
    after: State[Any],
    follows: Event | None,
    related: list[RelatedResource],
) -> Event | None:
    from prefect.events.schemas.events import Event
    from prefect.events.utilities import TIGHT_TIMING
    from prefect.settings import get_current_settings

    if not _found["should_emit_events"]():
        return None
    worker = _found["EventsWorker"].instance()
    own = _found["tags_as_related_resources"](run.tags)
    known = {each.id for each in own}
    # Prefect's model makes of them what it declares.
    more: dict[str, Any] = {
        "occurred": after.timestamp,
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{run.id}",
            "prefect.resource.name": run.name,
            "prefect.run-count": str(run.run_count),
            "prefect.state-message": truncated_to(_MESSAGE_CHARACTERS, after.message),
            "prefect.state-name": after.name or "",
            "prefect.state-timestamp": after.timestamp.isoformat() if after.timestamp else "",
            "prefect.state-type": str(after.type.value),
            "prefect.orchestration": "client",
        },
    }
    if follows is not None:
        apart = after.timestamp.timestamp() - follows.occurred.timestamp()
        if abs(apart) < TIGHT_TIMING.total_seconds():
            more["follows"] = follows.id
    event = Event(
        id=after.id,
        event=f"prefect.task-run.{after.name}",
        payload={
            "intended": {
                "from": None if before is None else str(before.type.value),
                "to": str(after.type.value),
            },
            "initial_state": None if before is None else _told(before),
            "validated_state": {**_told(after), "data": _kept(after)},
            "task_run": run.model_dump(mode="json", exclude_none=True, exclude=_NOT_OF_RUNS),
        },
        related=[*own, *(each for each in related if each.id not in known)],
        **more,
    )
    if event.size_bytes > get_current_settings().server.events.maximum_size_bytes:
        raise ValueError("too large")
    _NO_RUN.copy().run(worker.send, event)
    return event


def _told(state: State[Any]) -> dict[str, Any]:
    return {
        "type": str(state.type.value),
        "name": state.name,
        "message": truncated_to(_MESSAGE_CHARACTERS, state.message),
        "state_details": state.state_details.model_dump(
            mode="json", exclude_none=True, exclude_unset=True, exclude=_OF_STATES
        ),
    }


def _kept(state: State[Any]) -> Any:
    """Where a result that is kept lies."""
    data: Any = state.data
    if isinstance(data, _found["ResultRecord"]) and should_persist_result():
        return data.metadata.model_dump(mode="json")
    return None
