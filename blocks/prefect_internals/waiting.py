"""A coroutine run from code that is not async, whether or not a loop runs in its thread."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from prefect_governor.blocks.prefect_internals.names import find

R = TypeVar("R")


def result_of(coroutine: Coroutine[Any, Any, R]) -> R:
    """What it returns, or raises; this thread waits for it. It runs in a copy of this context, on
    the loop that Prefect has for this, which shares its API clients."""
    bridge: Any = find(
        "prefect.utilities.asyncutils",
        "run_coro_as_sync",
        instead="each coroutine gets a thread and a loop of its own",
    )
    if bridge is not None:
        found: R = bridge(coroutine)
        return found
    with ThreadPoolExecutor(1, thread_name_prefix="governed-bridge") as thread:
        return thread.submit(copy_context().run, asyncio.run, coroutine).result()
