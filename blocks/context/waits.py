"""Waiting for the desk's futures without ever cancelling them: they are the ledger's."""

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from prefect_governor.blocks.machine.strands import awaiting, blocking

T = TypeVar("T")


async def wait_async(future: "Future[T]") -> T:
    """The future's result, awaited on the running loop. A cancelled wait leaves it as it is."""
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def done(_: "Future[T]") -> None:
            # The loop may be closed by now, and nobody waits on it then.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

        future.add_done_callback(done)
        with awaiting(future):
            await waiter
    return future.result()


def wait_blocking(future: "Future[T]") -> T:
    """The future's result; the calling thread blocks."""
    if not future.done():
        with blocking(future):
            return future.result()
    return future.result()
