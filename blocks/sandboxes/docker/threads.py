"""Work that blocks, done in threads for whoever may be cancelled."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
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


def on_this_loop(heard: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """`heard` for other threads: it is called on the event loop here, in order."""
    loop = asyncio.get_running_loop()

    def hear(piece: bytes) -> None:
        with suppress(RuntimeError):
            # A loop that is closed by now has nobody who listens.
            loop.call_soon_threadsafe(heard, piece)

    return hear


async def _over(future: "asyncio.Future[T]") -> None:
    await asyncio.wait([future])
    if not future.cancelled():
        # Whatever it came to: nobody waits for it.
        future.exception()
