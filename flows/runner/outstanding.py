"""What a task runner has taken in and is not done with: waited for together, stopped together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from prefect.context import FlowRunContext

from prefect_governor.blocks.claims.flow_stops import (
    GRACE_SECONDS,
    TIMED_OUT,
    RunWatch,
    ends_process,
    is_stop,
    reason_of,
)
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.machine.answers import Monitor
from prefect_governor.blocks.machine.stops import Now, Stop, innermost
from prefect_governor.blocks.wire.sockets import cut_all
from prefect_governor.flows.runner.futures import LOOK_SECONDS, LoopWouldBlock

# How long what is cancelled or cut may take to say so, in seconds, before it is left behind.
ABORT_SECONDS = 5.0


class Outstanding:
    """The outcomes of task runs that have not ended.

    Attributes:
        stop: set once nothing more is to begin.

    Args:
        cancel: cancels what has begun and awaits something.
    """

    def __init__(self, *, cancel: Callable[[], None], logger: logging.Logger) -> None:
        self.stop = Stop(innermost())
        self._cancel, self._logger = cancel, logger
        self._changed = Monitor()
        self._outcomes: set[Future[Any]] = set()
        # Until when what is in flight may go on, on the monotonic clock; None for to its end.
        self._until: float | None = None
        self._patient = False
        self._watch: RunWatch | None = None

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: Future[Any]) -> None:
        """One more. Raises RuntimeError once nothing more is to begin."""
        with self._changed:
            # Under the lock that a stop lists them by: what it does not drop it refuses.
            if self.stop.is_set():
                raise RuntimeError("The task runner was cancelled; it takes no more work.")
            self._outcomes.add(outcome)
            # From the first one on: there is nothing to stop before.
            if self._watch is None and (run := FlowRunContext.get()) is not None:
                self._watch = RunWatch(run, partial(self.begin_no_more, seconds=GRACE_SECONDS))
        outcome.add_done_callback(self._forget)

    def begin_no_more(self, reason: str, *, seconds: float | None = None) -> None:
        """Drop what has not begun; what is in flight may go on for so long, None for to its end."""
        with self._changed:
            if seconds is not None:
                self._until = time.monotonic() + seconds
            self.stop.set(reason)
            outcomes = list(self._outcomes)
            self._changed.notify_all()
        for outcome in outcomes:
            outcome.cancel()

    def end(self, error: BaseException | None) -> None:
        """Until all have ended, as whatever the flow was left by has it."""
        if isinstance(error, Now):
            self._abort(error)
            return
        if error is not None and is_stop(error):
            self._heed(error)
        elif self._watch is not None and self._watch.code_is_over():
            self.begin_no_more(TIMED_OUT, seconds=GRACE_SECONDS)
        try:
            self._drain()
        except BaseException as again:
            if is_stop(again) and not self.stop.is_set():
                # The first order to stop came while the last were waited for.
                self.end(again)
            else:
                self._abort(again)
            raise
        if self._outcomes:
            self._abort(error)

    def close(self) -> None:
        """Watch the run no longer."""
        if self._watch is not None:
            self._watch.close()

    def _heed(self, error: BaseException) -> None:
        """The flow was left by an order to stop."""
        self._patient = isinstance(error, KeyboardInterrupt)
        self.begin_no_more(reason_of(error), seconds=GRACE_SECONDS)
        if self._patient and (count := len(self)):
            self._logger.warning(
                "Interrupted: starting nothing more, finishing what is in flight in %d task runs"
                " (Ctrl-C again cancels them)",
                count,
            )

    def _abort(self, error: BaseException | None) -> None:
        """End what is in flight, whatever it does; leave behind what cannot be ended."""
        self._patient = False
        self._cancel()
        if ends_process(error):
            cut_all()
        self._drain()
        if count := len(self):
            self._logger.warning(
                "%d task runs did not end within %d s of being cancelled, and are left behind;"
                " what they ask for is refused",
                count,
                ABORT_SECONDS,
            )

    def _drain(self) -> None:
        """Until nothing is left, or what is left has had its time (`_until`).

        Raises LoopWouldBlock where this thread runs a loop that what is left needs.
        """
        with self._changed:
            outcomes = list(self._outcomes)
        with strands.blocking(*outcomes) as strand, self._changed:
            # Only a thread that runs a loop is ever found to wait for itself.
            look = LOOK_SECONDS if strand.on_loop else None
            while self._outcomes:
                left = None if self._until is None else self._until - time.monotonic()
                if left is not None and left <= 0:
                    if not (self._patient and self.stop.flights):
                        return
                    # Whoever presses Ctrl-C once waits for calls, however long they take.
                    left = LOOK_SECONDS
                waits = [each for each in (left, look) if each is not None]
                self._changed.wait(min(waits, default=None))
                if self._outcomes and strands.is_stalled(strand):
                    raise LoopWouldBlock(
                        f"{len(self)} task runs of this flow need what is held by"
                        " other code on the event loop that it blocks: call the flow in a thread"
                        " of its own (`await asyncio.to_thread(...)`), or make it async"
                    )

    def _forget(self, outcome: Future[Any]) -> None:
        with self._changed:
            self._outcomes.discard(outcome)
            if not self._outcomes:
                self._changed.notify_all()
