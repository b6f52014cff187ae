"""Threads for sync tasks, of which those that only wait do not count."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from prefect_governor.blocks.machine.answers import Monitor
from prefect_governor.blocks.machine.endings import Block

# A thread that waits costs memory; a flow of thousands of retries must not become thousands of
# threads. Those above wait as in any pool, holding their place.
MOST_WAITING = 1024

_local = threading.local()


class Pool:
    """Runs functions in at most `size` threads at once, in order of submission.

    A thread inside `waiting()` lets another start in its place, up to `most_waiting` of them; it
    goes on once fewer than `size` others run, before anything new is begun. One that waited for so
    long at most goes on at once: then one more runs until the next of them has ended. Functions
    must not raise.
    """

    def __init__(self, size: int, name: str, *, most_waiting: int = MOST_WAITING) -> None:
        self._size = size
        self._name = name
        self._most_waiting = most_waiting
        lock = threading.Lock()
        self._free = Monitor(lock)  # for idle threads: something was handed out
        self._return = Monitor(lock)  # for those that waited: there may be a place
        self._work: deque[Callable[[], None]] = deque()
        self._handed: deque[Callable[[], None]] = deque()  # begun, its thread not yet awake
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._running = 0
        self._waiting: set[object] = set()
        self._returning: set[object] = set()
        self._closing = False

    def submit(self, fn: Callable[[], None]) -> None:
        """Run `fn` when its turn comes. Raises RuntimeError after `close`."""
        with self._free:
            if self._closing:
                raise RuntimeError("the threads of the task runner have ended")
            self._work.append(fn)
            self._next()

    def close(self, *, wait: bool = True) -> None:
        """End the threads once all work is done. Blocks until they have, unless told not to."""
        with self._free:
            self._closing = True
            self._free.notify_all()
        if not wait:
            return
        for thread in self._threads:
            thread.join()

    def waiting(self, came: Callable[[], bool] = lambda: True) -> AbstractContextManager[None]:
        """The code inside, in one of the threads, only waits; `came` says whether that for which
        it waited has come, or its time was over before."""
        return _Waiting(self, came)

    def _let_go(self, who: object) -> None:
        with self._free:
            if len(self._waiting) < self._most_waiting:
                self._running -= 1
                self._waiting.add(who)
                self._next()

    def _come_back(self, who: object, *, patient: bool) -> None:
        """Count it again: in its turn, or, where it was interrupted or its time is over and it runs
        on, at once."""
        with self._return:
            if who not in self._waiting:
                return
            self._returning.add(who)
            try:
                while patient and self._running >= self._size:
                    self._return.wait()
            finally:
                self._running += 1
                self._waiting.discard(who)
                self._returning.discard(who)
                self._next()

    def _next(self) -> None:
        """Give a free place away, if there is one. Call with the lock held."""
        if self._running >= self._size:
            return
        if self._returning:
            # Each looks: one that was interrupted would keep what it alone was told.
            self._return.notify_all()
        elif self._work:
            self._running += 1
            self._handed.append(self._work.popleft())
            if self._idle:
                self._idle -= 1
                self._free.notify()
                return
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        _local.pool = self
        with self._free:
            # Another may have taken what this thread was made for, and left it its place as idle.
            fn = self._take()
        while fn is not None:
            fn()
            fn = None  # else an idle thread keeps what its last task held
            with self._free:
                self._running -= 1
                self._idle += 1
                self._next()
                fn = self._take()

    def _take(self) -> Callable[[], None] | None:
        while not self._handed:
            if self._closing and not self._work:
                self._free.notify_all()  # the others went on waiting while there was work
                return None
            self._free.wait()
        return self._handed.popleft()


class _Waiting(Block):
    def __init__(self, pool: Pool, came: Callable[[], bool]) -> None:
        self._pool, self._came = pool, came

    def __enter__(self) -> None:
        self._pool._let_go(self)

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool._come_back(self, patient=self._came())
        super().leave(kind, error, trace)

    def end(self) -> None:
        self._pool._come_back(self, patient=False)


def only_waiting(came: Callable[[], bool] = lambda: True) -> AbstractContextManager[None]:
    """The code inside only waits: in a pool's thread, another may take its place meanwhile. `came`
    says whether that for which it waited has come, or its time was over before."""
    pool: Pool | None = getattr(_local, "pool", None)
    return nullcontext() if pool is None else pool.waiting(came)
