"""The task runner: where Prefect hands work in, and how it is started, waited for and ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.futures import PrefectFuture
from prefect.settings.context import get_current_settings
from prefect.task_runners import TaskRunner

from prefect_governor.blocks.figures.at_once import keep_footprint
from prefect_governor.blocks.limits.items import is_held_inside, item_starts
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.machine.answers import Answer, Monitor
from prefect_governor.blocks.machine.stops import STOPPED, under
from prefect_governor.blocks.prefect_internals import clients
from prefect_governor.blocks.prefect_internals.flow_engines import fail_flow_run
from prefect_governor.blocks.prefect_internals.result_folder import ResultFolders
from prefect_governor.blocks.prefect_internals.task_runs import StateEvents, new_run_id
from prefect_governor.flows.recovery.sweep import sweep_in_background
from prefect_governor.flows.runner.engine import run_sync, settle_async, settle_isolated
from prefect_governor.flows.runner.futures import GovernedFuture, pending_futures, when_done
from prefect_governor.flows.runner.lag import Late
from prefect_governor.flows.runner.lane import Lane
from prefect_governor.flows.runner.outstanding import ABORT_SECONDS, Outstanding
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

    Stops: after Ctrl-C, SIGTERM, a cancellation in the UI or the flow's `timeout_seconds` no task
    and no attempt begins, and whatever waits to be admitted is refused with `RunStopped`. What is
    in flight has 10 s to end, after Ctrl-C its calls as long as they take; then, or at Ctrl-C
    again, it is cancelled, and its calls stay charged as unconfirmed. A thread that does not end
    within 5 s of that is left behind. A run that nobody supervises (a script's) looks for its own
    cancellation every 5 s.

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
        self._lock = Monitor()
        self._outstanding = Outstanding(cancel=self.cancel_all, logger=self.logger)
        self._lanes: dict[int, Lane] = {}
        self._limits = TagLimits(logger=self.logger)
        self._folders = ResultFolders()
        self._events = StateEvents()
        self._watchdog = Watchdog(logger=self.logger)
        self._scope: AbstractContextManager[Any] | None = None
        self._sync_client: tuple[AbstractContextManager[Any], Context] | None = None
        self._when_left: list[Callable[[BaseException | None], None]] = []

    # Of others, Prefect's own among them, the stop is found out.
    tells_of_stops = True

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
            with ExitStack() as stack:
                stack.enter_context(governor_scope(self._governor))
                stack.enter_context(under(self._outstanding.stop))
                self._scope = stack.pop_all()
        except BaseException as exc:
            undo = fail_flow_run(exc) if isinstance(exc, Exception) else None
            if undo is None:
                super().__exit__(type(exc), exc, exc.__traceback__)
                raise
            # The engine raises it in place of the flow's function.
            self._scope = ExitStack()
            self._scope.callback(undo)
            return self
        self._takes_work = True
        sweep_in_background()
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """Wait for all that was submitted; where the flow was stopped, for what is in flight."""
        scope, self._scope = self._scope, None
        try:
            self._outstanding.end(exc_value)
            keep_footprint()
        finally:
            self._close()
            self._takes_work = False
            super().__exit__(exc_type, exc_value, traceback)
            if scope is not None:
                scope.__exit__(exc_type, exc_value, traceback)
            for told in self._when_left:
                told(exc_value)

    def when_left(self, told: Callable[[BaseException | None], None]) -> None:
        """Call it as the last thing of the flow run, with the exception that Prefect's engine left
        it by, None where it could say how the run ended."""
        self._when_left.append(told)

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
            "events": self._events,
            "stop": self._outstanding.stop,
        }

        def start() -> None:
            future._upstream = ()
            if on_loop:
                lane.run_on_loop(lambda: settle_async(outcome, run), context)
            elif task.isasync:
                lane.run_in_thread(lambda: asyncio.run(settle_isolated(outcome, run)), context)
            else:
                lane.run_in_thread(lambda: self._settle_sync(outcome, run), context)

        self._outstanding.add(outcome)
        upstream = pending_futures(*parameters.values(), wait_for)
        future._upstream = tuple(upstream)
        strands.expect(
            outcome,
            thread=future._loop_thread,
            after=[each.wrapped_future for each in upstream if isinstance(each, GovernedFuture)],
        )
        outcome.add_done_callback(strands.end)
        if depth or is_held_inside():
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
        self._outstanding.begin_no_more(STOPPED, seconds=ABORT_SECONDS)
        for lane in list(self._lanes.values()):
            lane.cancel_coroutines()

    @property
    def late(self) -> Late:
        """How late its event loops came to what was ready, so far."""
        return self._watchdog.lag.late

    def _isolates(self, task: Task[Any, Any]) -> bool:
        if isinstance(self._isolate, bool):
            return self._isolate
        return task.name in self._isolate or not self._isolate.isdisjoint(
            task.tags | TagsContext.get().current_tags
        )

    def _lane(self, depth: int) -> Lane:
        with self._lock:
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

    def _close(self) -> None:
        self._outstanding.close()
        self._watchdog.close()
        wait = not len(self._outstanding)
        # Deepest first: a lane's work may still be leaving a wait for the lane below it.
        for depth in sorted(self._lanes, reverse=True):
            self._lanes[depth].close(wait=wait)
        self._lanes = {}
        if self._sync_client is not None and wait:
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
        with self._lock:
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
