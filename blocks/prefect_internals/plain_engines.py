"""Prefect's own engines, as its task runners call them, for a version with other parts than those
that are overridden: a slot is taken within the task's function."""

from __future__ import annotations

import copy
import functools
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, Protocol

from prefect.client.schemas.objects import State
from prefect.tasks import Task


class Slots(Protocol):
    """The part of `engines.Ways` that this needs."""

    def slot(self) -> Any: ...
    def stopped(self) -> str | None: ...


def may_begin(ways: Slots) -> None:
    """Raises where nothing more may begin."""
    reason = ways.stopped()
    if reason is not None:
        raise CancelledError(f"Task run cancelled by the task runner: {reason}")


async def run_async_plainly(task: Task[Any, Any], **run: Any) -> State[Any]:
    from prefect.task_engine import run_task_async

    state: Any = await run_task_async(task, return_type="state", **run)
    return state  # type: ignore[no-any-return]


def run_sync_plainly(task: Task[Any, Any], **run: Any) -> State[Any]:
    from prefect.task_engine import run_task_sync

    state: Any = run_task_sync(task, return_type="state", **run)
    return state  # type: ignore[no-any-return]


def slotted_async(task: Task[Any, Any], ways: Slots) -> Task[Any, Any]:
    function: Any = task.fn

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        may_begin(ways)
        async with ways.slot():
            return await function(*args, **kwargs)

    return _with_function(task, call)


def slotted_sync(task: Task[Any, Any], ways: Slots) -> Task[Any, Any]:
    function: Any = task.fn

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        may_begin(ways)
        with ways.slot():
            return function(*args, **kwargs)

    return _with_function(task, call)


def _with_function(task: Task[Any, Any], function: Callable[..., Any]) -> Task[Any, Any]:
    changed = copy.copy(task)
    changed.fn = function
    return changed
