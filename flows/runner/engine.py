"""Prefect's task engines with two of their hooks overridden; nothing of Prefect is patched.

What differs from `run_task_sync` and `run_task_async`:

* The tags' limits are not asked for when it is known that none exists. The engine's `start` takes
  the names from `task_run.tags` between `_wait_for_dependencies` and `begin_run`; the tags are put
  aside for just that moment, so no event or state is without them. Should another version read
  them elsewhere, the engine asks again as Prefect's own does: slower, never less strict.
* Cancellation is a plain event of the runner. Passed as the engine's `context` it would count as
  a serialized context, for which the engine makes a new HTTP client for every task.
"""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

from prefect import task_engine
from prefect._flow_run_suspension import raise_if_flow_run_suspension_requested
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.task_engine import AsyncTaskRunEngine, SyncTaskRunEngine
from prefect.tasks import Task

from prefect_governor.flows.runner.tag_limits import TagLimits

# Older engines take a tag's limit through an API of its own, which `TagLimits` does not read.
_TAG_LIMITS_ARE_LEASES = hasattr(task_engine, "ConcurrencyLeaseHolder")


class _Governed:
    """The overridden hooks, the same for both engines; a mixin."""

    task: Any
    task_run: Any
    no_tag_limit = False
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


class GovernedAsyncEngine(_Governed, AsyncTaskRunEngine[Any, Any]):
    """Runs one async task run."""


class GovernedSyncEngine(_Governed, SyncTaskRunEngine[Any, Any]):
    """Runs one sync task run."""


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
    cancelled: threading.Event,
) -> State[Any]:
    """Run an async task to its final state; the loop of `prefect.task_engine.run_task_async`."""
    engine = GovernedAsyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.no_tag_limit = _TAG_LIMITS_ARE_LEASES and await limits.anone_exists(_tags(task))
    engine.cancelled = cancelled
    async with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            await engine.wait_until_ready()
            async with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
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
    cancelled: threading.Event,
) -> State[Any]:
    """Run a sync task to its final state; the loop of `prefect.task_engine.run_task_sync`."""
    engine = GovernedSyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.no_tag_limit = _TAG_LIMITS_ARE_LEASES and limits.none_exists(_tags(task))
    engine.cancelled = cancelled
    with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            engine.wait_until_ready()
            with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
            ):
                engine.call_task_fn(txn)
            raise_if_flow_run_suspension_requested()
    return engine.state
