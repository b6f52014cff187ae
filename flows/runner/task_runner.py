"""The task runner: where Prefect hands work in, and how it is started, waited for and ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.futures import PrefectFuture
from prefect.settings.context import get_current_settings
from prefect.task_runners import TaskRunner

from prefect_governor.blocks.figures.at_once import keep_footprint
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.machine.answers import Answer, Monitor
from prefect_governor.blocks.prefect_internals import clients
from prefect_governor.blocks.prefect_internals.result_folder import ResultFolders
from prefect_governor.blocks.prefect_internals.run_ids import new_run_id
from prefect_governor.flows.runner.engine import run_sync, settle_async, settle_isolated
from prefect_governor.flows.runner.futures import (
    LOOK_SECONDS,
    GovernedFuture,
    LoopWouldBlock,
    pending_futures,
    when_done,
)
from prefect_governor.flows.runner.lane import Lane
from prefect_governor.flows.runner.tag_limits import TagLimits
from prefect_governor.flows.runner.watchdog import Watchdog

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.tasks import Task

    from prefect_governor.blocks.governor import Governor

DEFAULT_MAX_THREADS = 256

_Self = TypeVar("_Self", bound="GovernedTaskRunner")

# The lane of the task that is running, -1 in a flow. What it submits runs one lane deeper.
_lane: ContextVar[int] = ContextVar("prefect_governor_lane", default=-1)


def governor_scope(governor: Governor | str | None) -> AbstractContextManager[Any]:
    """What makes `governor` (or the block of that name) the current one; None: no governor."""
    if governor is None:
        return nullcontext()
    from prefect_governor.blocks.governor import resolve

    scope: AbstractContextManager[Any] = resolve(governor).activate()
    return scope


class GovernedTaskRunner(TaskRunner[PrefectFuture[Any]]):
    """Runs the tasks of a flow on one long-lived event loop, under a governor.

    Async tasks are coroutines on a loop in a thread of its own, sync tasks run in at most
    `max_threads` threads; both start in order of submission, those that are given futures once
    those futures are done. Leaving the runner waits for everything that was submitted.

    Args:
        governor: A `Governor`, the name of a saved one, or None for none. Nothing is loaded until
            the flow starts; a name that no valid block has then fails the flow run.
        max_threads: How many sync tasks of one level of nesting run at once; those that wait for
            another task's future, or for their retry, do not count. Defaults to
            `PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS`, else to 256.
        isolate: The async tasks that get a thread and a loop of their own, as under Prefect's
            runner, because they block: True for all, or the names or tags of those that do
            (`isolate={"parse", "cpu"}`). They count among `max_threads`, and each costs about what
            it costs under Prefect's runner. Default False: none.

    An async task that blocks (`time.sleep`, a sync HTTP client) holds up the others of its level;
    one that does so for over 250 ms is named in the log, with the line, once per task name.
    `child.submit(...).result()` in an async task works, `await child.submit(...)` does without
    holding the others up. A blocking wait that could never end raises `LoopWouldBlock`.

    What a call waits in the governor's queue does not count against the `timeout_seconds` of the
    tasks that are submitted here. A sync task is ended between two steps of Python, as under
    Prefect's runner: what blocks in its thread ends first.

    Tag limits: Prefect's engine asks the server for the limits of a task's tags. Here the engine
    is told to skip that where a list of all limits, read at most 5 s ago (the time for which the
    engine itself remembers that there was none), has none for these tags. A limit that exists is
    honoured by the engine as ever, one made while the flow runs within 5 s.
    """

    def __init__(
        self,
        governor: Governor | str | None = None,
        *,
        max_threads: int | None = None,
        isolate: bool | Collection[str] = False,
    ) -> None:
        if max_threads is not None and max_threads < 1:
            raise ValueError(f"max_threads must be at least 1, not {max_threads}")
        if isinstance(isolate, str):
            raise ValueError(f"isolate takes several names or tags: isolate={{{isolate!r}}}")
        super().__init__()  # type: ignore[no-untyped-call]
        self._governor = governor
        self._max_threads = max_threads
        self._isolate = isolate if isinstance(isolate, bool) else frozenset(isolate)
        self._reset()

    def _reset(self) -> None:
        self._takes_work = False
        # Whoever submits may be a task that runs out of time while it does.
        self._changed = Monitor()
        self._outstanding: set[concurrent.futures.Future[State[Any]]] = set()
        self._lanes: dict[int, Lane] = {}
        self._cancelled = threading.Event()
        self._limits = TagLimits(logger=self.logger)
        self._folders = ResultFolders()
        self._watchdog = Watchdog(logger=self.logger)
        self._scope: AbstractContextManager[Any] | None = None
        self._sync_client: tuple[AbstractContextManager[Any], Context] | None = None

    def duplicate(self: _Self) -> _Self:
        """A new runner with the same configuration, not started."""
        return type(self)(self._governor, max_threads=self._max_threads, isolate=self._isolate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GovernedTaskRunner) and self._configuration() == (
            other._configuration()
        )

    def _configuration(self) -> tuple[Any, ...]:
        return (self._governor, self._max_threads, self._isolate)

    def __reduce__(self) -> tuple[Any, ...]:
        # A flow that runs in another process takes its configuration along, not its threads.
        return (_rebuild, (type(self), *self._configuration()))

    def __enter__(self: _Self) -> _Self:
        super().__enter__()
        self._reset()
        try:
            scope = governor_scope(self._governor)
            scope.__enter__()
        except BaseException as exc:
            super().__exit__(type(exc), exc, exc.__traceback__)
            raise
        self._scope = scope
        self._takes_work = True
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Wait for all that was submitted; on Ctrl-C, termination or cancellation, stop it."""
        scope, self._scope = self._scope, None
        try:
            if exc_type is not None and not issubclass(exc_type, Exception):
                self.cancel_all()
            try:
                self._drain()
            except BaseException:
                self.cancel_all()
                self._drain()
                raise
            keep_footprint()
        finally:
            self._close()
            self._takes_work = False
            super().__exit__(exc_type, exc_value, traceback)
            if scope is not None:
                scope.__exit__(exc_type, exc_value, traceback)

    def submit(
        self,
        task: Task[Any, Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> GovernedFuture[Any]:
        """Start the task, after the futures in `parameters` and `wait_for` are done.

        Returns at once, from any thread. Raises `RuntimeError` if the runner is not started or
        was cancelled.
        """
        if not self._takes_work:
            raise RuntimeError("The task runner must be started before submitting work.")
        depth = _lane.get() + 1
        lane = self._lane(depth)
        context = copy_context()
        context.run(_lane.set, depth)
        task_run_id = new_run_id()
        outcome: Answer[State[Any]] = Answer()
        on_loop = task.isasync and not self._isolates(task)
        future: GovernedFuture[Any] = GovernedFuture(
            task_run_id, outcome, loop_thread=lane.loop_thread() if on_loop else None
        )
        run: dict[str, Any] = {
            "task": task,
            "task_run_id": task_run_id,
            "parameters": parameters,
            "wait_for": wait_for,
            "dependencies": dependencies,
            "limits": self._limits,
            "folders": self._folders,
            "cancelled": self._cancelled,
        }

        def start() -> None:
            future._upstream = ()
            if on_loop:
                lane.run_on_loop(lambda: settle_async(outcome, run), context)
            elif task.isasync:
                lane.run_in_thread(lambda: asyncio.run(settle_isolated(outcome, run)), context)
            else:
                lane.run_in_thread(lambda: self._settle_sync(outcome, run), context)

        self._expect(outcome)
        upstream = pending_futures(*parameters.values(), wait_for)
        future._upstream = tuple(upstream)
        strands.expect(
            outcome,
            thread=future._loop_thread,
            after=[each.wrapped_future for each in upstream if isinstance(each, GovernedFuture)],
        )
        outcome.add_done_callback(strands.end)
        if depth:
            # A child that waited for memory would keep what its parent holds.
            when_done(upstream, start)
        else:
            when_done(upstream, lambda: item_starts().begin(start, outcome))
        return future

    def cancel_all(self) -> None:
        """Drop what has not begun, cancel what awaits, let sync tasks end their attempt.

        Futures that had not begun raise `CancelledError`, those cancelled while they ran are
        `Crashed`. Nothing more can be submitted.
        """
        with self._changed:
            self._cancelled.set()
        for outcome in self._outstanding_now():
            outcome.cancel()
        for lane in list(self._lanes.values()):
            lane.cancel_coroutines()

    def _isolates(self, task: Task[Any, Any]) -> bool:
        if isinstance(self._isolate, bool):
            return self._isolate
        return task.name in self._isolate or not self._isolate.isdisjoint(
            task.tags | TagsContext.get().current_tags
        )

    def _lane(self, depth: int) -> Lane:
        with self._changed:
            if depth not in self._lanes:
                threads = self._max_threads
                if threads is None:
                    threads = get_current_settings().tasks.runner.thread_pool_max_workers
                self._lanes[depth] = Lane(
                    depth,
                    max_threads=threads or DEFAULT_MAX_THREADS,
                    watchdog=self._watchdog,
                    logger=self.logger,
                )
            return self._lanes[depth]

    def _expect(self, outcome: concurrent.futures.Future[State[Any]]) -> None:
        with self._changed:
            # Under the lock that `cancel_all` lists them by: what it does not drop it refuses.
            if self._cancelled.is_set():
                raise RuntimeError("The task runner was cancelled; it takes no more work.")
            self._outstanding.add(outcome)
        outcome.add_done_callback(self._forget)

    def _forget(self, outcome: concurrent.futures.Future[State[Any]]) -> None:
        with self._changed:
            self._outstanding.discard(outcome)
            if not self._outstanding:
                self._changed.notify_all()

    def _drain(self) -> None:
        """Raises LoopWouldBlock where this thread runs a loop that what is left needs."""
        with strands.blocking(*self._outstanding_now()) as strand, self._changed:
            # Only a thread that runs a loop is ever found to wait for itself.
            most = LOOK_SECONDS if strand.on_loop else None
            while not self._changed.wait_for(lambda: not self._outstanding, most):
                if strands.is_stalled(strand):
                    raise LoopWouldBlock(
                        f"{len(self._outstanding)} task runs of this flow need what is held by"
                        " other code on the event loop that it blocks: call the flow in a thread"
                        " of its own (`await asyncio.to_thread(...)`), or make it async"
                    )

    def _outstanding_now(self) -> list[concurrent.futures.Future[State[Any]]]:
        with self._changed:
            return list(self._outstanding)

    def _close(self) -> None:
        self._watchdog.close()
        # Deepest first: a lane's work may still be leaving a wait for the lane below it.
        for depth in sorted(self._lanes, reverse=True):
            self._lanes[depth].close()
        self._lanes = {}
        if self._sync_client is not None:
            client, context = self._sync_client
            context.run(client.__exit__, None, None, None)
            self._sync_client = None

    def _settle_sync(
        self, outcome: concurrent.futures.Future[State[Any]], run: dict[str, Any]
    ) -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        strands.begin(outcome)
        try:
            # A sync flow's client is in the context already; an async flow has none for threads.
            if not clients.has_sync():
                clients.share_sync(self._shared_sync_client())
            state = run_sync(**run)
        except BaseException as exc:
            outcome.set_exception(exc)
        else:
            outcome.set_result(state)

    def _shared_sync_client(self) -> AbstractContextManager[Any]:
        with self._changed:
            if self._sync_client is None:
                # Entered and left in a context of its own: it outlives the task that opens it.
                context, client = copy_context(), clients.sync_client()
                context.run(client.__enter__)
                self._sync_client = (client, context)
            return self._sync_client[0]


def _rebuild(
    cls: type[GovernedTaskRunner],
    governor: Any,
    max_threads: int | None,
    isolate: bool | Collection[str],
) -> GovernedTaskRunner:
    return cls(governor, max_threads=max_threads, isolate=isolate)
