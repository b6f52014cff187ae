"""Slots of limits that count tasks: one a task run at work, none while it only waits."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar, Token
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.claims.slots import Claim
from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.context.stopwatch import queueing
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.machine.endings import Block
from prefect_governor.blocks.records.calls import Admission
from prefect_governor.blocks.work.runtime import Runtime

_current: "ContextVar[TaskSlot | None]" = ContextVar("prefect_governor_task_slot", default=None)


class TaskSlot(Block):
    """A task run's slots while its function is at work; nothing where no limit counts it.

    Entered with `with` or `async with`, around one attempt. While anything of it waits (`let_go`)
    it holds none, and takes them back when the last of its waits is over.

    Raises, when it is entered: QueueTimeout, LedgerUnavailable, CallRefused.
    """

    def __init__(
        self,
        claim: Claim | None = None,
        task_run: str | None = None,
        *,
        outer: "TaskSlot | None" = None,
        own: bool = False,
    ) -> None:
        self.task_run = task_run
        self._claim = claim
        # One that waits for this one to end, as it called it.
        self._outer = outer
        # Waits inside are its own, though nothing counts it: never those of who submitted it.
        self._own = own
        self._lock = threading.Lock()
        self._waits: set[object] = set()
        self._over = False
        self._token: Token[TaskSlot | None] | None = None

    @classmethod
    def of_attempt(cls) -> Self:
        """For an attempt that the task runner makes; those that it was submitted by go on."""
        runtime = _counting()
        if runtime is None:
            return cls(own=_current.get() is not None)
        who = attribution(model="")
        return cls(_claim(runtime, runtime.task_limits(who.tags)), who.task_run_id, own=True)

    @classmethod
    def of_function(cls) -> Self:
        """For a function under `@governed`. In a task run that has its slots already it takes none
        again; called by another that has, that one has none until it returns."""
        runtime = _counting()
        if runtime is None:
            return cls()
        who = attribution(model="")
        keys = runtime.task_limits(who.tags)
        outer = _current.get()
        if outer is not None and outer.at_work and outer._claim is not None:
            if outer.task_run == who.task_run_id:
                keys = tuple(key for key in keys if key not in outer._claim.keys)
                outer = None
        else:
            outer = None
        return cls(_claim(runtime, keys), who.task_run_id, outer=outer)

    @property
    def at_work(self) -> bool:
        """Whether it was entered and not left, waiting or not."""
        return self._token is not None and not self._over

    def suspend(self, wait: object) -> None:
        """Something of the task begins to wait; `wait` is said again when it ends."""
        with self._lock:
            self._waits.add(wait)
            if self._claim is not None and not self._over:
                self._claim.give_back()

    def resume(self, wait: object) -> "Future[Admission] | None":
        """It waits no more. Where nothing else of the task does, its slots are asked for again:
        what is returned says when they are there. Said more than once, it is nothing."""
        with self._lock:
            last = self._waits == {wait} and self._claim is not None and not self._over
            future = self._claim.ask() if last and self._claim is not None else None
            self._waits.discard(wait)
            return future

    def __enter__(self) -> Self:
        try:
            future = self._ask()
            if future is not None:
                with queueing():
                    wait_blocking(future)
        except BaseException:
            self.end()
            raise
        self._begin()
        return self

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        super().leave(kind, error, trace)

    async def __aenter__(self) -> Self:
        try:
            future = self._ask()
            if future is not None:
                with queueing():
                    await wait_async(future)
        except BaseException:
            self.end()
            raise
        self._begin()
        return self

    def _ask(self) -> "Future[Admission] | None":
        if self._claim is None:
            return None
        if self._outer is not None:
            self._outer.suspend(self)
        return self._claim.ask()

    def _begin(self) -> None:
        if self._claim is not None or self._own:
            self._token = _current.set(self)

    def end(self) -> None:
        """Nobody waits for the commit: what ends meets who waits in the same transaction."""
        with self._lock:
            self._over = True
            if self._claim is not None:
                self._claim.give_back()
        if self._outer is not None and self._claim is not None:
            # Its code goes on now; it is counted again as soon as there is room.
            with suppress(GovernorError):
                self._outer.resume(self)


def _always() -> bool:
    return True


@contextmanager
def let_go(came: Callable[[], bool] = _always) -> Iterator[None]:
    """The code inside only waits for other tasks: the task run that it is part of holds no slot
    meanwhile. On the thread of an event loop its slots are asked for again, and not waited for:
    who has them may need that loop. Nor are they where what was waited for has not come (`came`):
    who waits for so long at most does not wait for longer."""
    slot = _at_work()
    if slot is None:
        yield
        return
    wait = object()
    slot.suspend(wait)
    back = True
    try:
        yield
    except BaseException as error:
        back = isinstance(error, Exception)
        raise
    finally:
        future = slot.resume(wait)
        if future is not None and back and came() and not _on_a_loop():
            # Where another part of the task begins to wait meanwhile, it is let go again.
            with queueing(), suppress(CancelledError):
                wait_blocking(future)


@asynccontextmanager
async def alet_go(came: Callable[[], bool] = _always) -> AsyncIterator[None]:
    """`let_go` for code that awaits."""
    slot = _at_work()
    if slot is None:
        yield
        return
    wait = object()
    slot.suspend(wait)
    back = True
    try:
        yield
    except BaseException as error:
        back = isinstance(error, Exception)
        raise
    finally:
        future = slot.resume(wait)
        if future is not None and back and came():
            with queueing(), suppress(CancelledError):
                await wait_async(future)


def waiting_slot(wait: object) -> TaskSlot | None:
    """The slots of the task run here, suspended, for who says itself when this wait is over."""
    slot = _at_work()
    if slot is not None:
        slot.suspend(wait)
    return slot


def _at_work() -> TaskSlot | None:
    slot = _current.get()
    return slot if slot is not None and slot.at_work else None


def _counting() -> Runtime | None:
    """The governor of the context, where any of its limits counts tasks."""
    here = current_scope.get()
    runtime = None if here is None else here.governor
    return runtime if isinstance(runtime, Runtime) and runtime.counts_tasks else None


def _claim(runtime: Runtime, keys: tuple[str, ...]) -> Claim | None:
    return Claim(runtime, keys, label="task", observe=runtime.observe) if keys else None


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
