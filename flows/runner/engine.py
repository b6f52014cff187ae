"""Prefect's task engines with two of their hooks overridden; nothing of Prefect is patched.

What differs from `run_task_sync` and `run_task_async`:

* The tags' limits are not asked for when it is known that none exists. The engine's `start` takes
  the names from `task_run.tags` between `_wait_for_dependencies` and `begin_run`; the tags are put
  aside for just that moment, so no event or state is without them. Should another version read
  them elsewhere, the engine asks again as Prefect's own does: slower, never less strict.
* Cancellation is a plain event of the runner. Passed as the engine's `context` it would count as
  a serialized context, for which the engine makes a new HTTP client for every task.
* The timeout is measured by a stopwatch that stands still in the governor's queue. For this
  `run_context` is Prefect's own with another timeout in it, used where a task has one.
* An attempt takes its slot under limits that count tasks around the task's function.
* A sync task that waits for its retry lets another have its place among the threads.
* The result store does not resolve its folder's path anew for every task (`result_folder`).
"""

from __future__ import annotations

import concurrent.futures
import threading
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from prefect import task_engine
from prefect._flow_run_suspension import raise_if_flow_run_suspension_requested
from prefect.client.schemas.objects import State
from prefect.context import TagsContext, TaskRunContext
from prefect.task_engine import AsyncTaskRunEngine, SyncTaskRunEngine
from prefect.tasks import Task

from prefect_governor.blocks.claims.task_slots import TaskSlot
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.flows.runner.pool import only_waiting
from prefect_governor.flows.runner.result_folder import ResultFolders
from prefect_governor.flows.runner.tag_limits import TagLimits
from prefect_governor.flows.runner.timeouts import timeout_of_coroutine, timeout_of_thread

# Older engines take a tag's limit through an API of its own, which `TagLimits` does not read.
_TAG_LIMITS_ARE_LEASES = hasattr(task_engine, "ConcurrencyLeaseHolder")


class _Governed:
    """The overridden hooks, the same for both engines; a mixin."""

    task: Any
    task_run: Any
    logger: Any
    no_tag_limit = False
    folders: ResultFolders
    cancelled: threading.Event | None = None
    _tags_aside: list[str] | None = None

    def is_cancelled(self) -> bool:
        return self.cancelled is not None and self.cancelled.is_set()

    def _wait_for_dependencies(self) -> None:
        super()._wait_for_dependencies()  # type: ignore[misc]
        if self.no_tag_limit:
            self._tags_aside, self.task_run.tags = self.task_run.tags, []

    def begin_run(self) -> Any:
        if self._tags_aside is not None:
            self.task_run.tags, self._tags_aside = self._tags_aside, None
        return super().begin_run()  # type: ignore[misc]

    def _use_known_folder(self) -> None:
        context = TaskRunContext.get()
        assert context is not None
        context.result_store = self.folders.store(context.result_store)

    def _begins_attempt(self) -> None:
        self.logger.debug("Executing task %r for %r", self.task.name, self.task_run.name)
        if self.is_cancelled():
            raise CancelledError("Task run cancelled by the task runner")


class GovernedAsyncEngine(_Governed, AsyncTaskRunEngine[Any, Any]):
    """Runs one async task run."""

    @asynccontextmanager
    async def run_context(self) -> AsyncIterator[Any]:
        """One attempt, within the task's timeout."""
        if self.task.timeout_seconds is None:
            async with super().run_context():
                self._use_known_folder()
                yield self
            return
        async with self.setup_run_context():
            self._use_known_folder()
            try:
                with timeout_of_coroutine(self.task.timeout_seconds):
                    self._begins_attempt()
                    yield self
            except TimeoutError as exc:
                await self.handle_timeout(exc)
            except Exception as exc:
                await self.handle_exception(exc)


class GovernedSyncEngine(_Governed, SyncTaskRunEngine[Any, Any]):
    """Runs one sync task run."""

    @contextmanager
    def run_context(self) -> Iterator[Any]:
        """One attempt, within the task's timeout."""
        if self.task.timeout_seconds is None:
            with super().run_context():
                self._use_known_folder()
                yield self
            return
        with self.setup_run_context():
            self._use_known_folder()
            try:
                self.logger.warning(
                    "Timeout of %s seconds configured for this task, but the task is running in a"
                    " worker thread: what blocks, such as `time.sleep()` or a network request, is"
                    " not interrupted, and the timeout takes effect after it. An async task is"
                    " ended at its next `await`.",
                    self.task.timeout_seconds,
                )
                with timeout_of_thread(self.task.timeout_seconds):
                    self._begins_attempt()
                    yield self
            except TimeoutError as exc:
                self.handle_timeout(exc)
            except Exception as exc:
                self.handle_exception(exc)

    def wait_until_ready(self) -> None:
        """Wait for the time of a retry, holding no thread that another task could use."""
        if self.state.state_details.scheduled_time is None:
            return super().wait_until_ready()
        with only_waiting():
            return super().wait_until_ready()


def _slot(transaction: Any) -> TaskSlot:
    """What an attempt takes under limits that count tasks; nothing where its result is kept."""
    return TaskSlot() if transaction.is_committed() else TaskSlot.of_attempt()


def _tags(task: Task[Any, Any]) -> set[str]:
    return task.tags | TagsContext.get().current_tags


async def run_async(
    task: Task[Any, Any],
    *,
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Any,
    dependencies: Any,
    limits: TagLimits,
    folders: ResultFolders,
    cancelled: threading.Event,
) -> State[Any]:
    """Run an async task to its final state; the loop of `prefect.task_engine.run_task_async`."""
    engine = GovernedAsyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.no_tag_limit = _TAG_LIMITS_ARE_LEASES and await limits.anone_exists(_tags(task))
    engine.folders, engine.cancelled = folders, cancelled
    async with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            await engine.wait_until_ready()
            async with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
                _slot(txn),
            ):
                await engine.call_task_fn(txn)
            raise_if_flow_run_suspension_requested()
    return engine.state


def run_sync(
    task: Task[Any, Any],
    *,
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Any,
    dependencies: Any,
    limits: TagLimits,
    folders: ResultFolders,
    cancelled: threading.Event,
) -> State[Any]:
    """Run a sync task to its final state; the loop of `prefect.task_engine.run_task_sync`."""
    engine = GovernedSyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.no_tag_limit = _TAG_LIMITS_ARE_LEASES and limits.none_exists(_tags(task))
    engine.folders, engine.cancelled = folders, cancelled
    with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            engine.wait_until_ready()
            with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
                _slot(txn),
            ):
                engine.call_task_fn(txn)
            raise_if_flow_run_suspension_requested()
    return engine.state


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
