"""Prefect's task engines with some of their hooks overridden; nothing of Prefect is patched.

The loops are copies of `run_task_sync` and `run_task_async`, with a slot around the function: a
test holds them to Prefect's. Where this version's engines have other parts, its own run the task
as they are: the slot and the cancellation stay, what made them faster and the timeouts that stand
still in the queue do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.tasks import Task

from prefect_governor.blocks.prefect_internals.names import find, finds, read
from prefect_governor.blocks.prefect_internals.plain_engines import (
    may_begin,
    run_async_plainly,
    run_sync_plainly,
    slotted_async,
    slotted_sync,
)
from prefect_governor.blocks.prefect_internals.result_folder import ITS_OWN, ResultFolders
from prefect_governor.blocks.prefect_internals.task_runs import KNOWN as EVENTS_KNOWN
from prefect_governor.blocks.prefect_internals.task_runs import StateEvents, task_run_of

_PLAIN = "Prefect's own engines run the tasks: slower, and a timeout counts the governor's queue"
_OF_EITHER = (
    "_resolve_parameters", "_wait_for_dependencies", "asset_context", "begin_run", "call_task_fn",
    "can_retry",
    "handle_crash", "handle_exception", "handle_timeout", "is_cancelled", "is_running",
    "run_context", "set_state", "setup_run_context", "start", "state", "transaction_context",
    "wait_until_ready",
)  # fmt: skip

if TYPE_CHECKING:
    from prefect.task_engine import AsyncTaskRunEngine, SyncTaskRunEngine
else:
    _P, _R = TypeVar("_P"), TypeVar("_R")

    class _Gone(Generic[_P, _R]):
        """Stands for an engine that this version does not have; is never made."""

    SyncTaskRunEngine = find("prefect.task_engine", "SyncTaskRunEngine", instead=_PLAIN) or _Gone
    AsyncTaskRunEngine = find("prefect.task_engine", "AsyncTaskRunEngine", instead=_PLAIN) or _Gone

_KNOWN = finds(
    "prefect.task_engine",
    *(
        f"{engine}.{part}"
        for engine in ("SyncTaskRunEngine", "AsyncTaskRunEngine")
        for part in _OF_EITHER
    ),
    instead=_PLAIN,
)
# Older engines take a tag's limit through an API of its own.
_TAG_LIMITS_ARE_LEASES = finds(
    "prefect.task_engine",
    "ConcurrencyLeaseHolder",
    instead="the engine asks the server for the limits of each task's tags",
)
_raise_if_suspended: Callable[[], None] = find(
    "prefect._flow_run_suspension",
    "raise_if_flow_run_suspension_requested",
    instead="tasks that run when their flow run is suspended go on to their end",
) or (lambda: None)


class Slot(Protocol):
    """What an attempt holds while its function runs, in a thread or on a loop."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, *error: Any) -> None: ...


class Ways(Protocol):
    """What a task runner does in its own way about a task run."""

    folders: ResultFolders
    events: StateEvents
    # Whether it is known that no tag of the task has a limit.
    no_tag_limit: bool

    def slot(self) -> Slot:
        """Taken around each call of the task's function."""

    def timeout_of_coroutine(self, seconds: float) -> AbstractContextManager[None]:
        """Raises `TaskRunTimeoutError` in what runs on a loop."""

    def timeout_of_thread(self, seconds: float) -> AbstractContextManager[None]:
        """Raises `TaskRunTimeoutError` in what runs in a thread."""

    def text(self, text: str) -> str:
        """A state's message or a run's name, as Prefect's API takes it. The API is told of a state
        by an event; one that cannot be written is dropped, and the run never ends there."""

    def error(self, error: BaseException) -> Any:
        """An error, its text likewise: it goes to states and log lines."""

    def is_final(self, failed: Any) -> bool:
        """Whether no other attempt can do better than this error, or state."""

    def stopped(self) -> str | None:
        """Why nothing more may begin; None as long as it may."""

    def pause(self, seconds: float) -> None:
        """Wait in a thread for the time of a retry, or for a stop."""

    async def pause_async(self, seconds: float) -> None:
        """Wait on a loop for the time of a retry, or for a stop."""


class _NotBegun(Exception):
    """An attempt's time was over before it began, and it has had its end."""


class _Overridden:
    """The overridden hooks, the same for both engines; a mixin.

    The tags are put aside for just the moment in which the engine's `start` takes the names of
    limits from `task_run.tags`, between `_wait_for_dependencies` and `begin_run`, so no event or
    state is without them. Should another version read them elsewhere, the engine asks again as
    Prefect's own does: slower, never less strict.
    """

    task: Any
    task_run: Any
    logger: Any
    ways: Ways
    _tags_aside: list[str] | None = None
    _tells_pending = False
    _last_event: Any
    _began = False

    def is_cancelled(self) -> bool:
        return self.ways.stopped() is not None

    def _wait_for_dependencies(self) -> None:
        super()._wait_for_dependencies()  # type: ignore[misc]
        if self.ways.no_tag_limit and _TAG_LIMITS_ARE_LEASES:
            self._tags_aside, self.task_run.tags = self.task_run.tags, []

    def begin_run(self) -> Any:
        if self._tags_aside is not None:
            self.task_run.tags, self._tags_aside = self._tags_aside, None
        return super().begin_run()  # type: ignore[misc]

    def _resolve_parameters(self) -> Any:
        # Prefect's engine says it of a run that it made itself.
        if self._tells_pending:
            self._tells_pending = False
            self._last_event = self.ways.events.emit(self.task_run, None, self.task_run.state, None)
        return super()._resolve_parameters()  # type: ignore[misc]

    def _texts(self, state: State[Any]) -> None:
        """With a state go its message and the run's name."""
        if state.message is not None:
            state.message = self.ways.text(state.message)
        self.task_run.name = self.ways.text(self.task_run.name)

    def handle_exception(self, exc: Exception) -> Any:
        return super().handle_exception(self.ways.error(exc))  # type: ignore[misc]

    def handle_crash(self, exc: BaseException) -> Any:
        return super().handle_crash(self.ways.error(exc))  # type: ignore[misc]

    def _use_known_folder(self) -> None:
        context = TaskRunContext.get()
        for store in read(context, "result_store", instead=ITS_OWN):
            context.result_store = self.ways.folders.store(store)  # type: ignore[union-attr]

    def _begins_attempt(self) -> None:
        self.logger.debug("Executing task %r for %r", self.task.name, self.task_run.name)
        may_begin(self.ways)
        self._began = True

    def _delay(self) -> float:
        """How long until the time of a retry, in seconds; 0 where it is none, or has come."""
        at = self.task_run.state.state_details.scheduled_time
        return 0.0 if at is None else max(0.0, (at - datetime.now(timezone.utc)).total_seconds())


class _AsyncEngine(_Overridden, AsyncTaskRunEngine[Any, Any]):
    """Runs one async task run."""

    @asynccontextmanager
    async def run_context(self) -> AsyncIterator[Any]:
        """One attempt, within the task's timeout."""
        if self.task.timeout_seconds is None:
            async with super().run_context():
                self._use_known_folder()
                yield self
            return
        async with self.setup_run_context():
            self._use_known_folder()
            self._began = False
            try:
                with self.ways.timeout_of_coroutine(self.task.timeout_seconds):
                    self._begins_attempt()
                    yield self
            except TimeoutError as exc:
                await self.handle_timeout(exc)
            except Exception as exc:
                await self.handle_exception(exc)
        if not self._began:
            raise _NotBegun

    @asynccontextmanager
    async def asset_context(self) -> AsyncIterator[None]:
        """What is around an attempt."""
        with suppress(_NotBegun):
            async with super().asset_context():
                yield

    async def set_state(self, state: State[Any], force: bool = False) -> State[Any]:
        """Go to the state, and tell Prefect."""
        self._texts(state)
        if EVENTS_KNOWN:
            return self.ways.events.enter(self, state)
        return await super().set_state(state, force)

    async def can_retry(self, exc_or_state: Any) -> bool:
        """Whether another attempt may follow; none does after a stop, or what is final."""
        ended = self.is_cancelled() or self.ways.is_final(exc_or_state)
        return not ended and await super().can_retry(exc_or_state)

    async def wait_until_ready(self) -> None:
        """Wait for the time of a retry, or for a stop, after which none begins."""
        if delay := self._delay():
            await self.ways.pause_async(delay)
            may_begin(self.ways)
        await super().wait_until_ready()


class _SyncEngine(_Overridden, SyncTaskRunEngine[Any, Any]):
    """Runs one sync task run."""

    @contextmanager
    def run_context(self) -> Iterator[Any]:
        """One attempt, within the task's timeout."""
        if self.task.timeout_seconds is None:
            with super().run_context():
                self._use_known_folder()
                yield self
            return
        with self.setup_run_context():
            self._use_known_folder()
            self._began = False
            try:
                self.logger.warning(
                    "Timeout of %s seconds configured for this task, but the task is running in a"
                    " worker thread: what blocks, such as `time.sleep()` or a network request, is"
                    " not interrupted, and the timeout takes effect after it. An async task is"
                    " ended at its next `await`.",
                    self.task.timeout_seconds,
                )
                with self.ways.timeout_of_thread(self.task.timeout_seconds):
                    self._begins_attempt()
                    yield self
            except TimeoutError as exc:
                # The state keeps it: not what the task's code was at, and all that it held.
                exc.__context__ = None
                self.handle_timeout(exc)
            except Exception as exc:
                self.handle_exception(exc)
        if not self._began:
            raise _NotBegun

    @contextmanager
    def asset_context(self) -> Iterator[None]:
        """What is around an attempt."""
        with suppress(_NotBegun), super().asset_context():
            yield

    def set_state(self, state: State[Any], force: bool = False) -> State[Any]:
        """Go to the state, and tell Prefect."""
        self._texts(state)
        return (
            self.ways.events.enter(self, state) if EVENTS_KNOWN else super().set_state(state, force)
        )

    def can_retry(self, exc_or_state: Any) -> bool:
        """Whether another attempt may follow; none does after a stop, or what is final."""
        ended = self.is_cancelled() or self.ways.is_final(exc_or_state)
        return not ended and super().can_retry(exc_or_state)

    def wait_until_ready(self) -> None:
        """Wait for the time of a retry, or for a stop, after which none begins."""
        if delay := self._delay():
            self.ways.pause(delay)
            may_begin(self.ways)
        super().wait_until_ready()


def _makes_run(engine: Any, task_run_id: UUID, dependencies: Any) -> None:
    """Make the engine's task run as it would itself."""
    if EVENTS_KNOWN:
        engine.task_run = task_run_of(
            engine.task, parameters=engine.parameters, wait_for=engine.wait_for,
            task_run_id=task_run_id, of=dependencies,
        )  # fmt: skip
        engine._tells_pending = True


def _slot(ways: Ways, transaction: Any) -> Any:
    """None is taken where the result is kept: the function is not called."""
    return nullcontext() if transaction.is_committed() else ways.slot()


async def run_async(
    task: Task[Any, Any],
    *,
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Any,
    dependencies: Any,
    ways: Ways,
) -> State[Any]:
    """Run an async task to its final state; the loop of `prefect.task_engine.run_task_async`."""
    if not _KNOWN:
        return await run_async_plainly(
            slotted_async(task, ways), task_run_id=task_run_id, parameters=parameters,
            wait_for=wait_for, dependencies=dependencies,
        )  # fmt: skip
    await ways.events.learn()
    engine = _AsyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.ways = ways
    _makes_run(engine, task_run_id, dependencies)
    async with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            await engine.wait_until_ready()
            async with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
                _slot(ways, txn),
            ):
                await engine.call_task_fn(txn)
            _raise_if_suspended()
    return engine.state


def run_sync(
    task: Task[Any, Any],
    *,
    task_run_id: UUID,
    parameters: dict[str, Any],
    wait_for: Any,
    dependencies: Any,
    ways: Ways,
) -> State[Any]:
    """Run a sync task to its final state; the loop of `prefect.task_engine.run_task_sync`."""
    if not _KNOWN:
        return run_sync_plainly(
            slotted_sync(task, ways), task_run_id=task_run_id, parameters=parameters,
            wait_for=wait_for, dependencies=dependencies,
        )  # fmt: skip
    ways.events.learn_blocking()
    engine = _SyncEngine(task=task, parameters=parameters, wait_for=wait_for)
    engine.ways = ways
    _makes_run(engine, task_run_id, dependencies)
    with engine.start(task_run_id=task_run_id, dependencies=dependencies):
        while engine.is_running():
            engine.wait_until_ready()
            with (
                engine.asset_context(),
                engine.run_context(),
                engine.transaction_context() as txn,
                _slot(ways, txn),
            ):
                engine.call_task_fn(txn)
            _raise_if_suspended()
    return engine.state
