"""Futures of governed task runs, and how work waits for other futures without holding a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.futures import PrefectConcurrentFuture, PrefectFuture

from prefect_governor.blocks.claims.task_slots import alet_go, let_go, waiting_slot
from prefect_governor.blocks.machine.endings import Block
from prefect_governor.blocks.machine.strands import awaiting, blocking, is_stalled
from prefect_governor.blocks.prefect_internals.futures import WatchedFuture, each_future
from prefect_governor.flows.runner.pool import only_waiting

R = TypeVar("R")

# How often a wait on a loop's own thread looks whether it waits for itself, in seconds.
LOOK_SECONDS = 0.1


class LoopWouldBlock(RuntimeError):
    """A blocking wait, made on the thread of an event loop, for work that needs that very loop."""


# Loop threads that are blocked in a wait, and the future they wait for.
_blocked: dict[int, GovernedFuture[Any]] = {}
_blocked_lock = threading.Lock()


class GovernedFuture(WatchedFuture[R]):
    """A Prefect future that may also be awaited, from any event loop.

    `await future` gives the task's result and raises its exception, `wait_async()` and
    `result_async()` are the awaitable forms of `wait()` and `result()`. The blocking forms work
    from any thread; on the thread of the loop that the task itself needs, directly or through
    another blocked loop, they raise `LoopWouldBlock` instead of hanging.
    """

    def __init__(
        self,
        task_run_id: UUID,
        wrapped_future: concurrent.futures.Future[Any],
        *,
        loop_thread: int | None = None,
    ) -> None:
        super().__init__(task_run_id, wrapped_future)
        self._loop_thread = loop_thread
        self._upstream: tuple[PrefectFuture[Any], ...] = ()

    @property
    def state(self) -> State[Any]:
        """The state: the final one from memory once the run is done, else the server's."""
        return self._ended_in() or super().state

    def wait(self, timeout: float | None = None) -> None:
        """Block until the run is done, or for `timeout` seconds, and then return."""
        self._block(timeout)
        super().wait(0)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Block for the task's result; `TimeoutError` after `timeout` seconds."""
        self._block(timeout)
        if not self.wrapped_future.done():
            raise self._too_late(timeout)
        return super().result(0, raise_on_failure)

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait until the run is done, or for `timeout` seconds, and then return."""
        # A cancelled waiter must not cancel the run that others wait for too.
        waiter = asyncio.shield(asyncio.wrap_future(self.wrapped_future))
        try:
            with awaiting(self.wrapped_future):
                async with _alet_go(self.wrapped_future):
                    await asyncio.wait_for(waiter, timeout)
        except asyncio.TimeoutError:
            if not self.wrapped_future.done():
                return
        super().wait(0)

    async def result_async(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The task's result; `TimeoutError` after `timeout` seconds."""
        await self.wait_async(timeout)
        if not self.wrapped_future.done():
            raise self._too_late(timeout)
        state = self._ended_in()
        if state is None:
            return super().result(0, raise_on_failure)
        result: Any = await state.aresult(raise_on_failure=raise_on_failure)
        return cast("R", result)

    def __await__(self) -> Generator[Any, None, R]:
        return self.result_async().__await__()

    def _ended_in(self) -> State[Any] | None:
        """The final state, where the run is done and has one."""
        done = self.wrapped_future
        if not done.done() or done.cancelled() or done.exception() is not None:
            return None
        outcome: Any = done.result()
        return outcome if isinstance(outcome, State) else None

    def _before_waited_for(self) -> None:
        # Prefect's `wait` and `as_completed` register and then block the calling thread.
        if not self.wrapped_future.done():
            with _blocked_lock:
                self._check(threading.get_ident())
            # Who registers here goes on as each is done: it is counted again after the last.
            wait = object()
            slot = waiting_slot(wait)
            if slot is not None:
                self.wrapped_future.add_done_callback(lambda _: slot.resume(wait))

    def _too_late(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"Task run {self.task_run_id} did not complete within {timeout} seconds"
        )

    def _block(self, timeout: float | None) -> None:
        """Block until the run is done, or for so long."""
        if self.wrapped_future.done() or timeout == 0:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        with (
            _Blocks(self),
            # Who waits for so long at most goes on then, and is counted again as soon as it can be.
            let_go(self.wrapped_future.done),
            only_waiting(self.wrapped_future.done),
            blocking(self.wrapped_future) as strand,
        ):
            while not self.wrapped_future.done():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                # Only a thread that runs a loop is ever found to wait for itself.
                most = LOOK_SECONDS if strand.on_loop else None
                waits = [each for each in (left, most) if each is not None]
                with suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
                    self.wrapped_future.exception(min(waits, default=None))
                if is_stalled(strand) and not self.wrapped_future.done():
                    raise self._would_block()

    def _check(self, thread: int) -> None:
        if _needs(self, thread, set()):
            raise self._would_block()

    def _would_block(self) -> LoopWouldBlock:
        return LoopWouldBlock(
            f"Waiting here for task run {self.task_run_id} would block the event loop that it"
            " needs, for ever. In an async task, `await future` (or `asyncio.gather(*futures)`)"
            " instead of calling result() or wait(); or make the waiting task a sync task;"
            " or give it a thread of its own: GovernedTaskRunner(..., isolate={'its name'})."
        )


class _Blocks(Block):
    """The code inside blocks its thread for a future. Raises LoopWouldBlock where that needs it."""

    def __init__(self, future: GovernedFuture[Any]) -> None:
        self._future = future
        self._thread = threading.get_ident()
        self._outer: GovernedFuture[Any] | None = None

    def __enter__(self) -> None:
        with _blocked_lock:
            self._future._check(self._thread)
            self._outer = _blocked.get(self._thread)
            _blocked[self._thread] = self._future

    def end(self) -> None:
        with _blocked_lock:
            if _blocked.get(self._thread) is not self._future:
                return
            if self._outer is None:
                del _blocked[self._thread]
            else:
                _blocked[self._thread] = self._outer


def _alet_go(awaited: concurrent.futures.Future[Any]) -> AbstractAsyncContextManager[None]:
    return nullcontext() if awaited.done() else alet_go(awaited.done)


def _needs(future: PrefectFuture[Any], thread: int, seen: set[int]) -> bool:
    """Whether `future` cannot finish while `thread` is blocked. Call with the lock held."""
    if id(future) in seen or not isinstance(future, GovernedFuture):
        return False
    seen.add(id(future))
    if future.wrapped_future.done():
        return False
    if future._loop_thread == thread:
        return True
    if any(_needs(upstream, thread, seen) for upstream in future._upstream):
        return True
    blocked_on = None if future._loop_thread is None else _blocked.get(future._loop_thread)
    return blocked_on is not None and _needs(blocked_on, thread, seen)


def pending_futures(*expressions: Any) -> list[PrefectFuture[Any]]:
    """The Prefect futures at any depth of `expressions` that are not known to be done.

    What is quoted is left alone, as the engine does. An expression that cannot be walked holds
    none: the engine walks it again and reports why.
    """
    found: dict[int, PrefectFuture[Any]] = {}

    def collect(future: PrefectFuture[Any]) -> None:
        if not _is_done(future):
            found[id(future)] = future

    for expression in expressions:
        try:
            each_future(expression, collect)
        except Exception:
            continue
    return list(found.values())


def _is_done(future: PrefectFuture[Any]) -> bool:
    if isinstance(future, PrefectConcurrentFuture):
        return bool(future.wrapped_future.done())
    return False


def when_done(futures: list[PrefectFuture[Any]], start: Callable[[], None]) -> None:
    """Call `start` once all of `futures` are done: at once, or in the thread that ends the last."""
    left = len(futures)
    if not left:
        start()
        return
    lock = threading.Lock()

    def one_done(_: Any) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            start()

    for future in futures:
        try:
            future.add_done_callback(one_done)
        except Exception:
            # A foreign future that cannot call back (its run is unknown to the API): the engine
            # waits for it itself and reports what is wrong.
            one_done(future)
