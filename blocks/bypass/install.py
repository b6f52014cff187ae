"""Puts the hook at the libraries that send HTTP: those that are imported, and others once they are.

Nothing is imported for it: a library that nobody uses costs nothing.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

logger = logging.getLogger("prefect_governor.budget")

_HOOKS = "prefect_governor.blocks.bypass.hooks"
# By the module that has what is hooked, the one of ours whose `hook` does it.
HOOKS = {
    "aiohttp": f"{_HOOKS}.aiohttp",
    "botocore.signers": f"{_HOOKS}.botocore",
    "concurrent.futures.thread": f"{_HOOKS}.threads",
    # DSPy's own copy of lm15.
    "dspy._vendor.lm15.transports": f"{_HOOKS}.lm15",
    "http.client": f"{_HOOKS}.http_client",
    "httpx": f"{_HOOKS}.httpx",
    "httpx2": f"{_HOOKS}.httpx2",
    "lm15.transports": f"{_HOOKS}.lm15",
    "prefect.task_runners": f"{_HOOKS}.task_runners",
    "prefect_dask.task_runners": f"{_HOOKS}.task_runners",
    "prefect_ray.task_runners": f"{_HOOKS}.task_runners",
    "threading": f"{_HOOKS}.threads",
    "urllib3": f"{_HOOKS}.urllib3",
}

_lock = threading.Lock()
_installed = False


def install() -> None:
    """Look at the model calls that this process makes by any HTTP library, inside the scope of a
    governor (`Governor.bypass` says what becomes of them).

    A governor that is not told to allow them does so by itself once it is at work in a process.
    Call it first thing where code keeps a function of a library's that is hooked here, imported
    before. Again, it does nothing. Outside a governor's scope, and to any other request, the hook
    does nothing.
    """
    global _installed
    if _installed:
        return
    with _lock:
        if _installed:
            return
        # What all hooks stand on imports some of those libraries itself.
        import_module(f"{_HOOKS}.httpx")
        sys.meta_path.insert(0, _Watching())
        for name in HOOKS:
            # None stands for what is not to be imported.
            if sys.modules.get(name) is not None:
                # Not what another thread is in the midst of importing.
                _hook(name, import_module(name))
        _installed = True


def _hook(name: str, module: ModuleType) -> None:
    try:
        import_module(HOOKS[name]).hook(module)
    except (AttributeError, ImportError, TypeError, ValueError):
        logger.warning(
            "%s %s is not as this version of prefect-governor knows it: model calls that are made"
            " with it by clients other than the governor's are neither seen nor counted",
            name, getattr(module, "__version__", ""),
        )  # fmt: skip


class _Watching(MetaPathFinder):
    """Has what is hooked hooked as soon as it is imported. Found is it by all the other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in HOOKS:
            return None
        for finder in sys.meta_path:
            find: Callable[..., ModuleSpec | None] | None = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(fullname, path, target)
            if spec is not None:
                _watch(fullname, spec.loader)
                return spec
        return None


def _watch(name: str, loader: Any) -> None:
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        # A folder without code, or what only an old importer loads.
        return

    def exec_module(module: ModuleType) -> None:
        execute(module)
        # One loader may have all that an archive holds.
        if module.__name__ == name:
            _hook(name, module)

    with suppress(AttributeError):
        loader.exec_module = exec_module


def _after_fork() -> None:
    global _lock
    # Somebody may have held it during the fork.
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
