"""Task runners whose tasks run in other processes: a task that is submitted inside a governor's
scope runs inside it there. Prefect takes its own contexts along, and no other."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from types import ModuleType
from typing import Any

from prefect_governor.blocks.context.scope import Scope, current_scope, scope

_RUNNERS = ("ProcessPoolTaskRunner", "DaskTaskRunner", "RayTaskRunner")


def hook(module: ModuleType) -> None:
    """A module of task runners. Raises AttributeError where it has none of these."""
    runners = [getattr(module, name) for name in _RUNNERS if hasattr(module, name)]
    if not runners:
        raise AttributeError(f"no task runner of {_RUNNERS} in {module.__name__}")
    for runner in runners:
        runner.submit = _hooked(runner.submit)


def _hooked(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submitted(self: Any, task: Any, *rest: Any, **more: Any) -> Any:
        here = current_scope.get()
        return submit(self, task if here is None else _inside(here, task), *rest, **more)

    return submitted


def _inside(here: Scope, task: Any) -> Any:
    """The same task, whose function runs inside a scope like this one. What opens the governor is
    asked when the function is called, so that the task fails where it cannot be opened."""
    moved = copy(task)
    moved.fn = (_coroutine if task.isasync else _plain)(here.elsewhere(), task.fn)
    return moved


def _plain(make: Callable[[], Scope], fn: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fn)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with scope(make()):
            return fn(*args, **kwargs)

    return inside


def _coroutine(make: Callable[[], Scope], fn: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fn)
    async def inside(*args: Any, **kwargs: Any) -> Any:
        with scope(make()):
            return await fn(*args, **kwargs)

    return inside
