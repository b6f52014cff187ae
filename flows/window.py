"""The items of a run that are under way: enough to fill the cap, few enough to hold in memory."""

import queue
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from prefect.futures import PrefectFuture

# Where nothing caps the calls, this many items are under way at once.
UNCAPPED = 256
# Items beyond the cap that are read and wait at its door, so that a slot that comes free is taken
# at once; and at least this many.
SPARE = 8
# How long to wait for an item to end before looking whether the run was stopped, in seconds.
_LOOK_SECONDS = 0.2


class Window:
    """Which items to start next, and which of those that were started have ended.

    Args:
        positions: the items that are to run, in order.
        cap: calls that may be in flight at once, None for no such limit.
    """

    def __init__(self, positions: Sequence[int], *, cap: int | None) -> None:
        self._waiting = deque(positions)
        self._running: dict[int, PrefectFuture[Any]] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._size = 2 * cap + SPARE if cap is not None else UNCAPPED
        # Refilled in steps of a quarter: a `.map` call for each item would cost more.
        self._step = max(1, self._size // 4)

    @property
    def running(self) -> int:
        """How many items were started and have not ended."""
        return len(self._running)

    def next_batch(self, *, stopped: bool) -> list[int]:
        """Items to start now; none where the window is full enough, or the run was stopped."""
        if stopped:
            return []
        room = self._size - len(self._running)
        if room < min(self._step, len(self._waiting)):
            return []
        return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def started(self, position: int, future: "PrefectFuture[Any]") -> None:
        self._running[position] = future
        future.add_done_callback(lambda _: self._ended.put(position))

    def wait(self) -> "list[tuple[int, PrefectFuture[Any]]]":
        """Items that ended since; waits a moment for the first, none if none did."""
        ended: list[int] = []
        try:
            ended.append(self._ended.get(timeout=_LOOK_SECONDS))
        except queue.Empty:
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        return [(position, self._running.pop(position)) for position in ended]

    def drain(self, seconds: float) -> "list[tuple[int, PrefectFuture[Any]]]":
        """All that end within so long."""
        ended: list[tuple[int, PrefectFuture[Any]]] = []
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            ended += self.wait()
        return ended

    def rest(self) -> list[int]:
        """Items that were never started, or were still running when the run was aborted."""
        return sorted([*self._running, *self._waiting])
