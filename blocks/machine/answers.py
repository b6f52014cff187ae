"""Locks and futures that a thread can be interrupted at, and nobody is the worse for it.

A timeout, a signal or Ctrl-C raises in a thread at the first step of any function of Python's and
after any call. `threading.Condition`, and so every future and event, is entered and left by such
functions: interrupted there it is locked for ever, and whoever answers the future hangs with it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


class Monitor:
    """`threading.Condition` over a plain lock, entered and left by the lock's own functions in C,
    which are done or have not begun. Where a wait may be interrupted, all are to be notified: one
    that was may stay on the list.

    Args:
        lock: shared with another one.
    """

    def __init__(self, lock: "threading.Lock | None" = None) -> None:
        self._lock = lock or threading.Lock()
        self.acquire: Callable[..., bool] = self._lock.acquire
        self.release: Callable[[], None] = self._lock.release
        self._waiting: list[threading.Lock] = []

    if TYPE_CHECKING:

        def __enter__(self) -> bool: ...

        def __exit__(self, *_: object) -> None: ...

    else:
        # What `with` calls is what these give it: no function of ours.
        __enter__ = property(attrgetter("_lock.__enter__"))
        __exit__ = property(attrgetter("_lock.__exit__"))

    def wait(self, timeout: float | None = None) -> bool:
        """Until somebody notifies, for `timeout` seconds at most; False where that was all."""
        told = threading.Lock()
        told.acquire()
        # No call: it is on the list and inside the `try`, or neither.
        self._waiting = [*self._waiting, told]
        try:
            self.release()
            return told.acquire(True, -1 if timeout is None else max(0.0, timeout))
        finally:
            self.acquire()
            if told in self._waiting:
                self._waiting.remove(told)

    def wait_for(self, so: Callable[[], T], timeout: float | None = None) -> T:
        """Until it is so, for `timeout` seconds at most; what `so` said last."""
        until = None if timeout is None else time.monotonic() + timeout
        while not (found := so()):
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return found

    def notify(self, most: int = 1) -> None:
        """Wake so many of those that wait."""
        for told in self._waiting:
            if most <= 0:
                return
            if told.locked():
                told.release()
                most -= 1

    def notify_all(self) -> None:
        """Wake all that wait."""
        self.notify(len(self._waiting))


class Answer(Future[T]):
    """A future whose lock is a `Monitor`."""

    def __init__(self) -> None:
        super().__init__()
        self._condition: Any = Monitor()
