"""Waiting for the desk's futures without ever cancelling them: they are the ledger's."""

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import TypeVar
from weakref import WeakKeyDictionary

from prefect_governor.blocks.machine.strands import awaiting, blocking

T = TypeVar("T")


class _Wakes:
    """Those of a loop that are to be woken. A batch of answers wakes the loop once, as waking it is
    a call of the system's, and a switch of threads."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._on_its_way = False

    def add(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
        """From any thread."""
        # In this order, as in `_wake`: what is added is either seen by the call that is on its way,
        # or makes one.
        self._waiters.append(waiter)
        if self._on_its_way:
            return
        self._on_its_way = True
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop is closed, and nobody waits on it.
            self._on_its_way = False
            self._waiters.clear()

    def _wake(self) -> None:
        self._on_its_way = False
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)


_wakes: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Wakes]" = WeakKeyDictionary()


async def wait_async(future: "Future[T]") -> T:
    """The future's result, awaited on the running loop. A cancelled wait leaves it as it is."""
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        wakes = _wakes.get(loop) or _wakes.setdefault(loop, _Wakes())
        future.add_done_callback(lambda _: wakes.add(loop, waiter))
        with awaiting(future):
            await waiter
    return future.result()


def wait_blocking(future: "Future[T]") -> T:
    """The future's result; the calling thread blocks."""
    if not future.done():
        with blocking(future):
            return future.result()
    return future.result()
