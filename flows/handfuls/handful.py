"""Items that share a task run: each comes, works and ends by itself."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any

Work = Callable[[], Awaitable[Any]]
# Of those that failed so many are named by the task run.
NAMED = 3


class Handful:
    """Takes up to `size` items from any thread, each begun as it comes, and ends when all that it
    took have. A slow one holds up no other, nor those that come after the handful is full.

    An item's outcome is a future that its own work answers; it may be answered by others before,
    and its work is not begun then.

    Attributes:
        positions: of the items that it took, in the order in which they came.
        succeeded: how many of them did, so far.
        failed: what the first that did not came to, by position.
    """

    def __init__(self, size: int) -> None:
        self._places = self.size = size
        self.positions: list[int] = []
        self.succeeded = 0
        self.failed: dict[int, BaseException] = {}
        # Never held while a future is answered, whose callbacks take it.
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()
        self._came: deque[tuple[Work, Future[Any]]] = deque()
        self._tell: Callable[[], None] = lambda: None

    @property
    def has_room(self) -> bool:
        """Whether it takes another item."""
        return self._places > 0

    def expect(self, position: int, outcome: "Future[Any]") -> bool:
        """One of its items will be begun here; False where it takes no more."""
        with self._lock:
            if not self._places:
                return False
            self._places -= 1
            self.positions.append(position)
            self._open.add(outcome)
        outcome.add_done_callback(partial(self._ended, position))
        return True

    def begin(self, work: Work, outcome: "Future[Any]") -> None:
        """One that was expected begins now."""
        with self._lock:
            self._came.append((work, outcome))
        self._tell()

    def close(self) -> None:
        """It takes no more."""
        with self._lock:
            self._places = 0
        self._tell()

    def give_up(self, error: BaseException) -> None:
        """Nothing of it goes on: what has not ended ends with this error."""
        self.close()
        with self._lock:
            left = list(self._open)
        for outcome in left:
            _answer(outcome, error)

    async def run(self) -> None:
        """Until it is full, or closed, and all of its items have ended. Cancelled, it cancels
        them."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            # The loop may be gone where nobody waits any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(news.set)

        self._tell = tell
        at_work: set[asyncio.Task[None]] = set()
        try:
            while self._open or self._places:
                while self._came:
                    task = loop.create_task(_settle(*self._came.popleft()))
                    at_work.add(task)
                    task.add_done_callback(at_work.discard)
                await news.wait()
                news.clear()
        finally:
            for task in at_work:
                task.cancel()
            if at_work:
                await asyncio.wait(at_work)

    def _ended(self, position: int, outcome: "Future[Any]") -> None:
        error = CancelledError() if outcome.cancelled() else outcome.exception()
        with self._lock:
            self._open.discard(outcome)
            last = not self._open
            if error is None:
                self.succeeded += 1
            elif len(self.failed) < NAMED:
                self.failed[position] = error
        if last:
            self._tell()


async def _settle(work: Work, outcome: "Future[Any]") -> None:
    if outcome.done():
        return
    try:
        result = await work()
    except BaseException as error:
        # Also what would end the loop (SystemExit): it is this item's outcome, not the others'.
        _answer(outcome, error)
        if isinstance(error, asyncio.CancelledError):
            raise
    else:
        with suppress(InvalidStateError):
            outcome.set_result(result)


def _answer(outcome: "Future[Any]", error: BaseException) -> None:
    with suppress(InvalidStateError):
        outcome.set_exception(error)
