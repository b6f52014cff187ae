"""Work that blocks, done in threads for whoever may be cancelled."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from prefect_governor.blocks.sandboxes.ending import to_the_end

T = TypeVar("T")
# Asked now and then by work that takes long: whether nobody waits for it any more.
Abandoned = Callable[[], bool]


async def in_thread(threads: Executor, work: Callable[[Abandoned], T]) -> T:
    """The result of `work`. Where this is cancelled, the work is told, and is over before the
    cancellation goes on."""
    abandoned = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(threads, work, abandoned.is_set)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        abandoned.set()
        await to_the_end(_over(future))
        raise


async def _over(future: "asyncio.Future[T]") -> None:
    await asyncio.wait([future])
    if not future.cancelled():
        # Whatever it came to: nobody waits for it.
        future.exception()
