"""Turns of those who ask the same at the same time, on whichever event loop they do."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager


class Turns:
    """One at a time, in the order in which they came, for each name. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Future[None]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """The block is entered once all who came before have left theirs."""
        mine: Future[None] = Future()
        with self._lock:
            before = self._last.get(name)
            self._last[name] = mine
        try:
            if before is not None:
                await asyncio.shield(asyncio.wrap_future(before))
            yield
        finally:
            if before is None or before.done():
                self._end(name, mine)
            else:
                # Whoever stops waiting lets nobody past those before.
                before.add_done_callback(lambda _: self._end(name, mine))

    def _end(self, name: str, mine: "Future[None]") -> None:
        with self._lock:
            if self._last.get(name) is mine:
                del self._last[name]
        mine.set_result(None)
