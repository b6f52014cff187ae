"""What differs from Prefect's task engines, which `blocks/prefect_internals/engines.py` overrides:

* The tags' limits are not asked for when it is known that none exists (`tag_limits`).
* Cancellation is the stop of the runner. Passed as the engine's `context` it would count as
  a serialized context, for which the engine makes a new HTTP client for every task.
* The timeout is measured by a stopwatch that stands still in the governor's queue (`timeouts`).
  One that lands before its attempt has begun is a timeout too.
* An attempt takes its slot under limits that count tasks around the task's function.
* A refusal of ours that no repetition can change is not retried.
* A sync task that waits for its retry lets another have its place among the threads.
* The result store does not resolve its folder's path anew for every task.
* The events of a state's change are made with what is the same for all of a flow run known, and the
  run itself in fewer steps.
* Names, messages and errors of a task run hold only text that Prefect's API takes, and no secret.
"""

from __future__ import annotations

import concurrent.futures
from contextlib import AbstractContextManager
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.tasks import Task

from prefect_governor.blocks.claims.task_slots import TaskSlot
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.blocks.machine.text import storable, storable_error
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.models.failures import is_final
from prefect_governor.blocks.prefect_internals import engines
from prefect_governor.blocks.prefect_internals.result_folder import ResultFolders
from prefect_governor.blocks.prefect_internals.task_runs import StateEvents
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_error
from prefect_governor.flows.runner.pool import only_waiting
from prefect_governor.flows.runner.tag_limits import TagLimits
from prefect_governor.flows.runner.timeouts import timeout_of_coroutine, timeout_of_thread


class _Ways:
    """See `engines.Ways`."""

    def __init__(
        self, *, folders: ResultFolders, events: StateEvents, stop: Stop, no_tag_limit: bool
    ) -> None:
        self.folders = folders
        self.events = events
        self.no_tag_limit = no_tag_limit
        self._stop = stop

    def slot(self) -> TaskSlot:
        return TaskSlot.of_attempt()

    def timeout_of_coroutine(self, seconds: float) -> AbstractContextManager[None]:
        return timeout_of_coroutine(seconds)

    def timeout_of_thread(self, seconds: float) -> AbstractContextManager[None]:
        return timeout_of_thread(seconds)

    def text(self, text: str) -> str:
        return scrubbed(storable(text))

    def error(self, error: BaseException) -> BaseException:
        return scrubbed_error(storable_error(error))

    def is_final(self, failed: Any) -> bool:
        error = failed.data if isinstance(failed, State) else failed
        return isinstance(error, BaseException) and is_final(error)

    def stopped(self) -> str | None:
        return self._stop.reason if self._stop.is_set() else None

    def pause(self, seconds: float) -> None:
        # Another has this thread's place meanwhile.
        with only_waiting():
            self._stop.wait(seconds)

    async def pause_async(self, seconds: float) -> None:
        await self._stop.wait_async(seconds)


def _tags(task: Task[Any, Any]) -> set[str]:
    return task.tags | TagsContext.get().current_tags


async def run_async(
    task: Task[Any, Any],
    *,
    limits: TagLimits,
    folders: ResultFolders,
    events: StateEvents,
    stop: Stop,
    **run: Any,
) -> State[Any]:
    """Run an async task to its final state."""
    no_tag_limit = await limits.anone_exists(_tags(task))
    ways = _Ways(folders=folders, events=events, stop=stop, no_tag_limit=no_tag_limit)
    return await engines.run_async(task, ways=ways, **run)


def run_sync(
    task: Task[Any, Any],
    *,
    limits: TagLimits,
    folders: ResultFolders,
    events: StateEvents,
    stop: Stop,
    **run: Any,
) -> State[Any]:
    """Run a sync task to its final state."""
    no_tag_limit = limits.none_exists(_tags(task))
    ways = _Ways(folders=folders, events=events, stop=stop, no_tag_limit=no_tag_limit)
    return engines.run_sync(task, ways=ways, **run)


async def settle_async(outcome: concurrent.futures.Future[State[Any]], run: dict[str, Any]) -> None:
    """`run_async` into `outcome`, whatever it raises."""
    if not outcome.set_running_or_notify_cancel():
        return
    strands.begin(outcome)
    try:
        state = await run_async(**run)
    except BaseException as exc:
        # Also what would end the loop (SystemExit): it is this task's outcome, not the others'.
        outcome.set_exception(exc)
    else:
        outcome.set_result(state)


async def settle_isolated(
    outcome: concurrent.futures.Future[State[Any]], run: dict[str, Any]
) -> None:
    """`settle_async` on a loop that ends with it."""
    try:
        await settle_async(outcome, run)
    finally:
        # Connections to providers belong to the loop, which ends here.
        await aclose_clients()
