"""Pools of threads: what is given to one inside a governor's scope runs inside it. Its threads know
nothing of who gives it, so that a library which makes its calls there would leave the scope."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from prefect_governor.blocks.context.scope import Scope, current_scope
from prefect_governor.blocks.wire.sending import is_sending


def hook(module: ModuleType) -> None:
    """Raises AttributeError where the module has no such pool."""
    pool = module.ThreadPoolExecutor
    pool.submit = _hooked(pool.submit)


def _hooked(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submitted(self: Any, fn: Callable[..., Any], /, *rest: Any, **more: Any) -> Any:
        here = current_scope.get()
        # What a governed transport sends is counted there.
        if here is None or is_sending():
            return submit(self, fn, *rest, **more)
        return submit(self, _inside, here, fn, *rest, **more)

    return submitted


def _inside(here: Scope, fn: Callable[..., Any], /, *rest: Any, **more: Any) -> Any:
    before = current_scope.set(here)
    try:
        return fn(*rest, **more)
    finally:
        current_scope.reset(before)
