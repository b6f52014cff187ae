"""Work that is held back until there is memory for it: as many items under way as fit (P13)."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from prefect_governor.blocks.limits.derived import MIB, Memory, MemoryCap
from prefect_governor.blocks.limits.resources import memory, resident_bytes

# How old a look at the memory may be; a look costs about 0.1 ms.
LOOK_SECONDS = 0.1
# An item may wait for one that has not begun: where none ended for so long, one more begins.
STUCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """How memory held this process's items back: for how long, and the sum, None where it does not
    hold them back now; how many are under way and what each of them holds, None where nobody
    knows."""

    held_seconds: float
    waiting_for: str | None
    under_way: int = 0
    footprint_bytes: float | None = None


class Starts:
    """Begins items in order, as many at once as memory holds. Thread-safe.

    Args:
        look: the memory that is left, and what this process holds; None where nothing tells: then
            all begin at once. Both are injected by tests, as is the monotonic `clock`.
    """

    def __init__(
        self,
        look: Callable[[], tuple[Memory, int] | None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look or _look
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], None], Future[Any]]] = deque()
        self._begun: set[int] = set()
        self._cap = MemoryCap()
        self._looked_at = float("-inf")
        self._moved_at = clock()
        self._held_since: float | None = None
        self._held = 0.0
        self._timer: threading.Timer | None = None

    @property
    def under_way(self) -> int:
        return len(self._begun)

    def expect(self, *, memory_mib: int | None) -> None:
        """What an item holds, as people say (a Limit's `memory_mib`); None to find out."""
        with self._lock:
            self._cap = MemoryCap(footprint_bytes=memory_mib * MIB if memory_mib else None)
            self._looked_at = float("-inf")

    def begin(self, start: Callable[[], None], outcome: "Future[Any]") -> None:
        """Call `start` once there is memory for it; `outcome` is done when the item has ended. One
        whose outcome is done before is not started."""
        with self._lock:
            self._waiting.append((start, outcome))
        outcome.add_done_callback(self._ended)
        self._go_on()

    def figures(self) -> MemoryFigures:
        with self._lock:
            held = self._held
            if self._held_since is not None:
                held += self._clock() - self._held_since
            return MemoryFigures(
                held,
                self._text() if self._waiting else None,
                len(self._begun),
                self._cap.footprint_bytes,
            )

    def _ended(self, outcome: "Future[Any]") -> None:
        with self._lock:
            if id(outcome) in self._begun:
                self._begun.remove(id(outcome))
                self._cap.ended(1)
                self._moved_at = self._clock()
        self._go_on()

    def _go_on(self) -> None:
        while (start := self._next()) is not None:
            start()

    def _next(self) -> Callable[[], None] | None:
        """The next item that may begin."""
        with self._lock:
            while self._waiting and self._waiting[0][1].done():
                self._waiting.popleft()
            now = self._clock()
            if not self._waiting:
                self._let_go(now)
                return None
            if not self._begun and self._held_since is None:
                self._held = 0.0
            cap = self._cap_at(now)
            stuck = now - self._moved_at >= STUCK_SECONDS and self._held_since is not None
            if cap is not None and len(self._begun) >= cap and not stuck:
                self._hold(now)
                return None
            start, outcome = self._waiting.popleft()
            self._begun.add(id(outcome))
            self._moved_at = now
            return start

    def _cap_at(self, now: float) -> int | None:
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            seen = self._look()
            if seen is None:
                return None
            self._cap.look(*seen, len(self._begun))
        return self._cap.cap

    def _hold(self, now: float) -> None:
        if self._held_since is None:
            self._held_since = self._moved_at = now
        if self._timer is None:
            self._timer = threading.Timer(2 * LOOK_SECONDS, self._again)
            self._timer.daemon = True
            self._timer.start()

    def _let_go(self, now: float) -> None:
        if self._held_since is not None:
            self._held += now - self._held_since
            self._held_since = None

    def _again(self) -> None:
        with self._lock:
            self._timer = None
        self._go_on()

    def _text(self) -> str:
        seen, each = self._cap.memory, self._cap.footprint_bytes
        if seen is None:
            return "memory"
        text = (
            f"memory: {seen.free_bytes / MIB:,.0f} of {seen.limit_bytes / MIB:,.0f} MiB free"
            f" ({seen.source}), {len(self._begun)} items under way"
        )
        return text if each is None else f"{text}, {each / MIB:,.0f} MiB each"


def _look() -> tuple[Memory, int] | None:
    left, held = memory(), resident_bytes()
    return None if left is None or held is None else (left, held)


_starts = Starts()
_held_inside: ContextVar[bool] = ContextVar("prefect_governor_held_inside", default=False)


def item_starts() -> Starts:
    """Of this process: all of its flows share its memory."""
    return _starts


@contextmanager
def held_inside() -> Iterator[None]:
    """What is submitted here holds nothing by itself: the items that it takes in are begun one by
    one."""
    token = _held_inside.set(True)
    try:
        yield
    finally:
        _held_inside.reset(token)


def is_held_inside() -> bool:
    """Whether the code runs inside `held_inside`."""
    return _held_inside.get()


def _after_fork() -> None:
    global _starts
    _starts = Starts()


os.register_at_fork(after_in_child=_after_fork)
