"""Stops: a stretch of work is told once to begin nothing more, and all that is part of it knows."""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from prefect_governor.blocks.errors import RunStopped

STOPPED = "the run was stopped before this began"


class Now(KeyboardInterrupt):
    """A Ctrl-C after others: nothing that is in flight is waited for."""


class Stop:
    """Set once: nothing that is under it begins any more, and what waits to be admitted is refused.

    No lock of Python's is held by who waits or sets: a task's timeout may land in the one, a
    signal's handler that is the other in the midst of either (`threading.Event` would be locked for
    ever).

    Attributes:
        reason: why what did not begin did not, in a person's words; None where it is not set.
        outer: what this is part of, if it is part of anything.
        flights: calls under it that were admitted and are not over.
    """

    def __init__(self, outer: "Stop | None" = None) -> None:
        self.reason: str | None = None
        self.outer: Stop | None = None
        self.flights = 0
        # Reentrant, as a signal's handler may stop what its thread was about to include.
        self._including = threading.RLock()
        self._set = False
        # Released as it is set: a lock of each thread that waits.
        self._waiting: list[threading.Lock] = []
        self._inner: weakref.WeakSet[Stop] = weakref.WeakSet()
        self._heard: list[Callable[[], None]] = []
        if outer is not None:
            outer.include(self)

    def include(self, inner: "Stop") -> None:
        """What stops this stops `inner` too, from now on."""
        with self._including:
            self._inner.add(inner)
        inner.outer = self
        if self.is_set():
            inner.set(self.reason)

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._set

    def wait(self, seconds: float | None = None) -> bool:
        """Until it is set, or so long; whether it is."""
        told = threading.Lock()
        told.acquire()
        # On the list before it looks, and who sets it looks at the list after: one sees the other.
        self._waiting.append(told)
        try:
            if not self._set:
                told.acquire(True, -1 if seconds is None else max(0.0, seconds))
            return self._set
        finally:
            self._waiting.remove(told)

    def set(self, reason: str | None = None) -> None:
        """Stop; called from any thread, and from a signal's handler. The first reason counts."""
        if self.is_set():
            return
        self.reason = self.reason or reason or STOPPED
        self._set = True
        for told in tuple(self._waiting):
            # Where two set it at once, one of them has told already.
            with suppress(RuntimeError):
                told.release()
        with self._including:
            inside = list(self._inner)
        for inner in inside:
            inner.set(self.reason)
        for tell in (*self._heard, *_desks()):
            tell()

    def refusal(self) -> RunStopped:
        """What is raised where something would begin."""
        return RunStopped(self.reason or STOPPED)

    async def wait_async(self, seconds: float) -> None:
        """Until it is set, or so long."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(over.set)

        self._heard.append(tell)
        try:
            if not self.is_set():
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(over.wait(), seconds)
        finally:
            self._heard.remove(tell)


_current: ContextVar[Stop | None] = ContextVar("prefect_governor_stop", default=None)
# What knows of the stop of code that was not told of one: the flow run's, under any task runner.
_find: Callable[[], Stop | None] | None = None
_counting = threading.Lock()
_listening: "weakref.WeakSet[Listener]" = weakref.WeakSet()


class Listener:
    """Who is told of every stop."""

    def stop_told(self) -> None:
        """Some stop was set. Called in whatever thread did so; must not wait."""
        raise NotImplementedError


def listen(listener: Listener) -> None:
    """Tell it of every stop from now on, as long as it is there."""
    _listening.add(listener)


def find_by(find: Callable[[], Stop | None]) -> None:
    """Where no stop of the context is known, ask this."""
    global _find
    _find = find


def current_stop() -> Stop | None:
    """What the code here is stopped by; None where nothing stops it but the end of the process."""
    found = None if _find is None else _find()
    return _current.get() if found is None else found


def innermost() -> Stop | None:
    """The stop of the context alone."""
    return _current.get()


@contextmanager
def under(stop: Stop) -> Iterator[Stop]:
    """The code inside is stopped by this one."""
    token = _current.set(stop)
    try:
        yield stop
    finally:
        _current.reset(token)


def check_not_stopped() -> None:
    """Raises RunStopped where the code here is to begin nothing more."""
    stop = current_stop()
    if stop is not None and stop.is_set():
        raise stop.refusal()


def flight() -> Callable[[], None]:
    """A call of this code was admitted; call what is returned, once, when it is over."""
    stops = []
    stop = current_stop()
    while stop is not None:
        stops.append(stop)
        stop = stop.outer

    def count(step: int) -> None:
        with _counting:
            for each in stops:
                each.flights += step

    count(1)
    return lambda: count(-1)


def _desks() -> list[Callable[[], None]]:
    return [each.stop_told for each in list(_listening)]


def _after_fork() -> None:
    global _counting
    _counting = threading.Lock()
    # The desks of its parent are none of the child's.
    _listening.clear()


os.register_at_fork(after_in_child=_after_fork)
