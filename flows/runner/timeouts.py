"""Prefect's task timeouts, measured by a stopwatch that stands still in the governor's queue.

They end work as Prefect's own do: a coroutine at its next await, a thread at its next step in
Python. A thread that blocks in a system call is not interrupted; it ends once the call returns.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import anyio

from prefect_governor.blocks.context.stopwatch import Stopwatch, current_stopwatch
from prefect_governor.blocks.machine.answers import Monitor
from prefect_governor.blocks.prefect_internals.interrupts import (
    Interrupted,
    TaskRunTimeoutError,
    interruptible,
)


@contextmanager
def timeout_of_coroutine(seconds: float) -> Iterator[None]:
    """Cancel the code inside when it has taken `seconds`; `TaskRunTimeoutError` then."""
    loop, thread = asyncio.get_running_loop(), threading.get_ident()
    scope = anyio.CancelScope()
    ended = False

    def follow() -> None:
        if ended:
            return
        deadline = watch.deadline()
        left = math.inf if deadline is None else deadline - time.monotonic()
        scope.deadline = loop.time() + left

    def moved() -> None:
        if threading.get_ident() == thread:
            follow()
            return
        # The loop may be gone: what a task left behind in a thread outlives it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(follow)

    with _watching(seconds, moved) as watch:
        follow()
        try:
            with scope:
                yield
        except Exception as error:
            if scope.cancel_called:
                raise _timed_out(seconds) from error
            raise
        finally:
            ended = True
    if scope.cancel_called:
        raise _timed_out(seconds)


@contextmanager
def timeout_of_thread(seconds: float) -> Iterator[None]:
    """End the code inside when it has taken `seconds`; `TaskRunTimeoutError` then.

    The current thread is interrupted between two steps of Python, as Prefect's timeouts in worker
    threads do.
    """
    # Outer timeouts may interrupt this thread too.
    changed = Monitor()
    thread = threading.current_thread()
    ended = False

    def moved() -> None:
        with changed:
            changed.notify_all()

    def enforce() -> None:
        with changed:
            while not ended:
                deadline = watch.deadline()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                changed.wait(left)
        # Where it was interrupted as it ended, nobody has said so.
        if not ended and thread.is_alive():
            scope.cancel()

    try:
        with _watching(seconds, moved) as watch, interruptible() as scope:
            enforcer = threading.Thread(target=enforce, name="governed-timeout", daemon=True)
            enforcer.start()
            try:
                yield
            finally:
                ended = True
                moved()
    except Interrupted:
        raise _timed_out(seconds) from None


@contextmanager
def _watching(seconds: float, moved: Callable[[], None]) -> Iterator[Stopwatch]:
    watch = Stopwatch(seconds, moved, outer=current_stopwatch.get())
    token = current_stopwatch.set(watch)
    try:
        yield watch
    finally:
        current_stopwatch.reset(token)


def _timed_out(seconds: float) -> TimeoutError:
    return TaskRunTimeoutError(f"Scope timed out after {seconds} second(s).")
