"""LiteLLM, imported in one place: late (it takes seconds), once, and without phoning home."""

import importlib
import os
import threading
from concurrent.futures import Future
from typing import Any

from prefect_governor.blocks.context.waits import wait_async
from prefect_governor.blocks.machine.garbage import uncollected

_importing, _starting = threading.Lock(), threading.Lock()
_library: Any = None
# What is being imported in a thread of its own.
_warming: "Future[Any] | None" = None


def litellm() -> Any:
    """The `litellm` module. The first call imports it, from whatever thread; others wait for it.

    Its price map is the one that it ships, its hints for debugging and its telemetry are off.
    Nothing else of it is set: `litellm.drop_params` and the like are the user's.
    """
    global _library
    if _library is None:
        with _importing:
            if _library is None:
                os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                # What an import makes stays, and looking through all of it again and again is a
                # fifth of the time of importing LiteLLM after Prefect.
                with uncollected():
                    module: Any = importlib.import_module("litellm")
                module.suppress_debug_info = True
                module.telemetry = False
                _library = module
    return _library


async def litellm_off_loop() -> Any:
    """The same, without holding the event loop while it is imported."""
    return litellm() if _library is not None else await wait_async(warm_up())


def warm_up() -> "Future[Any]":
    """Import it in a thread of its own, for whoever will call soon: what they do until then goes on
    meanwhile. Asked again, the same import is meant, and after one that failed a new one. A process
    that ends waits for it: a module of Rust's that is cut off while it starts ends it by a signal.
    """
    global _warming
    with _starting:
        if _warming is None or (_warming.done() and _warming.exception() is not None):
            _warming = Future()
            threading.Thread(
                target=_import_into, args=(_warming,), name="prefect-governor-litellm"
            ).start()
        return _warming


def _import_into(warming: "Future[Any]") -> None:
    try:
        warming.set_result(litellm())
    except BaseException as error:
        warming.set_exception(error)


def _after_fork() -> None:
    """A child has no thread that imports, and its locks may be held by one that is not there."""
    global _importing, _starting, _warming
    _importing, _starting = threading.Lock(), threading.Lock()
    _warming = None


os.register_at_fork(after_in_child=_after_fork)
