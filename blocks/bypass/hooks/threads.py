"""Threads: one that is started inside a governor's scope runs inside it, and so does what a pool of
threads is given there. A thread knows nothing of who starts it, so that a program or a library
which makes its calls in others would leave the scope."""

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any

from prefect_governor.blocks.context.scope import Scope, current_scope
from prefect_governor.blocks.wire.sending import is_sending


def hook(module: ModuleType) -> None:
    """`threading`, or the module of the pools. Raises AttributeError where it has none."""
    if module.__name__ == "threading":
        module.Thread.start = _hooked_start(module.Thread.start)
    else:
        module.ThreadPoolExecutor.submit = _hooked_submit(module.ThreadPoolExecutor.submit)


def _hooked_submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submitted(self: Any, fn: Callable[..., Any], /, *rest: Any, **more: Any) -> Any:
        here = _here()
        if here is None:
            return submit(self, fn, *rest, **more)
        # A thread that the pool starts for it serves others too.
        before = current_scope.set(None)
        try:
            return submit(self, _inside, here, fn, *rest, **more)
        finally:
            current_scope.reset(before)

    return submitted


def _hooked_start(start: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(start)
    def started(self: Any) -> None:
        here = _here()
        if here is not None:
            self.run = partial(_run, self, here, self.run)
        start(self)

    return started


def _here() -> Scope | None:
    """The scope to hand on. What a governed transport sends is counted there."""
    return None if is_sending() else current_scope.get()


def _run(thread: Any, here: Scope, run: Callable[[], None]) -> None:
    # No circle of the thread and what it runs.
    del thread.run
    _inside(here, run)


def _inside(here: Scope, fn: Callable[..., Any], /, *rest: Any, **more: Any) -> Any:
    before = current_scope.set(here)
    try:
        return fn(*rest, **more)
    finally:
        current_scope.reset(before)
