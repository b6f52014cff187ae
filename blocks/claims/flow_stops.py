"""The stop of a flow run: under any task runner, whoever stops it and however.

Prefect tells nobody but the flow's own thread. What runs in other threads learns of it here: from
the task runner that is left by Ctrl-C or SIGTERM, from the clock where the flow has a
`timeout_seconds`, and from the server where it was cancelled there.
"""

import logging
import os
import sys
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect_governor.blocks.context.settings import under_these_settings
from prefect_governor.blocks.errors import RunStopped
from prefect_governor.blocks.machine.stops import (
    Stop,
    check_not_stopped,
    current_stop,
    find_by,
    innermost,
)
from prefect_governor.blocks.wire.sockets import cut_all

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

# How often the server is asked whether the run was cancelled, in seconds.
LOOK_SECONDS = 5.0
# How long what is in flight may take to end once its flow is stopped, in seconds; then it is cut,
# and stays charged as unconfirmed. Of the 30 s that supervisors give, it leaves time to report.
GRACE_SECONDS = 10.0
# How much later than Prefect the clock is heeded here, in seconds: the flow's own code ends first.
LATER_SECONDS = 0.25

logger = logging.getLogger(__name__)

INTERRUPTED = "the flow run was interrupted before this began"
TERMINATED = "the flow run was told to end before this began"
CANCELLED = "the flow run was cancelled before this began"
TIMED_OUT = "the flow run exceeded its timeout_seconds before this began"

# What Prefect's own supervisor sets for the process of a flow run, which it ends when it is
# cancelled.
_SUPERVISED = "PREFECT__FLOW_RUN_ID"


def reason_of(error: BaseException) -> str:
    """Why a flow was left by this."""
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else TERMINATED


def is_stop(error: BaseException | None) -> bool:
    """Whether it is no failure of the flow's own code, but an order to end."""
    return error is not None and not isinstance(error, Exception)


def ends_process(error: BaseException | None) -> bool:
    """Whether it ends the whole process, not only the flow."""
    if isinstance(error, KeyboardInterrupt):
        return True
    from prefect.exceptions import TerminationSignal

    return isinstance(error, TerminationSignal)


class RunWatch:
    """Calls `told` with a reason when a flow run is cancelled or out of time, until it is closed.

    Args:
        run: Prefect's context of the flow run.
    """

    def __init__(self, run: Any, told: Callable[[str], None]) -> None:
        self._told = told
        self._over = threading.Event()
        self._deadline = _deadline(run)
        self._cancelled = False
        flow_run = None if os.environ.get(_SUPERVISED) else run.flow_run
        self._flow_run_id: UUID | None = None if flow_run is None else flow_run.id
        if self._flow_run_id is None and self._deadline is None:
            return
        threading.Thread(
            target=under_these_settings(self._look_on), name="governor-stops", daemon=True
        ).start()

    def code_is_over(self) -> bool:
        """The flow's code has ended, and with it what its time is for; whether that was up."""
        deadline, self._deadline = self._deadline, None
        return deadline is not None and time.monotonic() >= deadline

    def close(self) -> None:
        """Look no longer. A run that was cancelled says that it has ended, as nobody else does."""
        self._over.set()
        if self._cancelled and self._flow_run_id is not None:
            _say_cancelled(self._flow_run_id)

    def _look_on(self) -> None:
        while not self._over.wait(self._next()):
            deadline = self._deadline
            if deadline is not None and time.monotonic() >= deadline + LATER_SECONDS:
                self._told(TIMED_OUT)
                return
            if self._flow_run_id is not None and _was_cancelled(self._flow_run_id):
                self._cancelled = True
                self._told(CANCELLED)
                return

    def _next(self) -> float:
        look = threading.TIMEOUT_MAX if self._flow_run_id is None else LOOK_SECONDS
        deadline = self._deadline
        if deadline is None:
            return look
        return max(0.0, min(look, deadline + LATER_SECONDS - time.monotonic()))


def _deadline(run: Any) -> float | None:
    """When the flow has had its time, on the monotonic clock."""
    seconds = getattr(run.flow, "timeout_seconds", None)
    if seconds is None:
        return None
    began: datetime = run.start_time
    passed = (datetime.now(timezone.utc) - began).total_seconds()
    return time.monotonic() - max(0.0, passed) + float(seconds)


def _was_cancelled(flow_run_id: UUID) -> bool:
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run_id).state
    except Exception:
        # A server that is away cancels nothing.
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _say_cancelled(flow_run_id: UUID) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(flow_run_id).state
            if state is not None and state.is_cancelling():
                client.set_flow_run_state(
                    flow_run_id, Cancelled(message="Flow run was cancelled."), force=True
                )
    except Exception as error:
        logger.warning("the cancelled flow run %s cannot say so: %s", flow_run_id, error)


class _CancelAll:
    """Stands in one task runner's `cancel_all`, which is called where its flow is left; tells the
    run's stop, and then does what that does."""

    def __init__(self, run: Any) -> None:
        self.stop = Stop(innermost())
        self._cancel_all: Callable[[], None] = run.task_runner.cancel_all
        self._watch = RunWatch(run, self.stop.set)

    def __call__(self) -> None:
        error = sys.exc_info()[1]
        timed_out = self._watch.code_is_over()
        if error is not None and is_stop(error):
            self.stop.set(reason_of(error))
        elif timed_out:
            self.stop.set(TIMED_OUT)
        grace = threading.Timer(GRACE_SECONDS, cut_all)
        grace.daemon = True
        if ends_process(error) and not isinstance(error, KeyboardInterrupt):
            grace.start()
        try:
            self._cancel_all()
        except BaseException:
            # Ctrl-C, for the second time.
            cut_all()
            raise
        finally:
            grace.cancel()
            self._watch.close()


class NotTriedAgain(RunStopped):
    """A task's attempt ended with an error once its run was cancelled, and it has more of them.
    Whoever is the task's function returns the `state`, which Prefect's engine takes as the end."""

    @property
    def state(self) -> "State[Any]":
        """Cancelled, with the error's text."""
        from prefect.states import Cancelled

        return Cancelled(message=str(self))


@contextmanager
def once_stopped(function: Callable[..., Any] | None = None) -> Iterator[None]:
    """The code inside does not begin once its run is stopped (RunStopped), and what ends with an
    error then is not tried again: Prefect's engine would wait for its delay before it found out.

    `function` is what the code is the whole of, if it may return a value. Raises NotTriedAgain
    where the state of that is what its task should return.
    """
    try:
        check_not_stopped()
        yield
    except Exception as error:
        stop = current_stop()
        task = None if stop is None or not stop.is_set() else _tried_again()
        if stop is None or task is None:
            raise
        if stop.reason != CANCELLED:
            raise CancelledError(str(error)) from error
        # The flow's own code goes on, which that would end where it waits for this.
        if function is not None and task.fn is function:
            raise NotTriedAgain(str(error)) from error
        raise


def _tried_again() -> Any:
    """The task that the code here is an attempt of, where it has more of them left; or None."""
    context = sys.modules.get("prefect.context")
    run = None if context is None else context.TaskRunContext.get()
    left = run is not None and run.task_run.run_count <= (run.task.retries or 0)
    return run.task if run is not None and left else None


_finding = threading.Lock()


def _of_flow_run() -> Stop | None:
    """The stop of the flow run that the code here is part of, where its task runner is none of
    ours: those tell of it by themselves."""
    context = sys.modules.get("prefect.context")
    run = None if context is None else context.FlowRunContext.get()
    if run is None:
        return None
    runner = run.task_runner
    if getattr(runner, "tells_of_stops", False):
        return None
    if run.detached or not hasattr(runner, "cancel_all"):
        # The flow runs in another process.
        return None
    with _finding:
        if not isinstance(runner.cancel_all, _CancelAll):
            runner.cancel_all = _CancelAll(run)
        stop: Stop = runner.cancel_all.stop
        return stop


def _after_fork() -> None:
    global _finding
    _finding = threading.Lock()


find_by(_of_flow_run)
os.register_at_fork(after_in_child=_after_fork)
