"""Names the tasks that hold an event loop which others share.

A thread looks now and then at what the loop's thread runs. The loop itself is not touched for that,
so that watching costs its tasks nothing: a callback that is seen again and again is one step of a
task that does not come to its next await. asyncio's own loops are watched; one that is no Python
shows no callbacks, and is not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass
from types import FrameType

from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from prefect_governor.blocks.machine.garbage import uncollected
from prefect_governor.flows.runner.lag import PROBE_SECONDS, Lag

HELD_SECONDS = 0.25
LOOK_SECONDS = 0.03


@dataclass
class _Step:
    """A callback that a loop runs, and since when it was seen running."""

    handle: asyncio.Handle
    since: float


class Watchdog:
    """Watches loops from `watch(thread)` on until `close()`; its own thread starts with the first.

    A task that holds a loop for over `held_seconds` is named once per task name, in its run's log,
    with the line where it is and what to do. Imports are not: they are made once. Nor are tasks of
    this package: nobody who reads it can change them.
    """

    def __init__(
        self,
        *,
        logger: logging.Logger,
        held_seconds: float = HELD_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._held_seconds = held_seconds
        self._look_seconds = look_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: dict[int, _Step | None] = {}
        self._named: set[str] = set()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._loops: list[asyncio.AbstractEventLoop] = []
        self.lag = Lag()

    def watch(self, loop_thread: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Watch the loop that runs in the thread of this id; where it is given, it is asked now and
        then how late it is (`lag`)."""
        with self._lock:
            self._steps[loop_thread] = None
            if loop is not None:
                self._loops.append(loop)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="governed-watchdog", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Stop watching. Blocks until the thread has ended."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Look once at every loop."""
        now = self._clock()
        with self._lock:
            steps = dict(self._steps)
        # Up to Python 3.11.8 a collection in here may wait for ever for the thread that holds the
        # interpreter while it starts another (https://github.com/python/cpython/issues/106883).
        with uncollected():
            frames = sys._current_frames()
        for thread, step in steps.items():
            frame = frames.get(thread)
            handle = None if frame is None else _running(frame)
            if frame is None or handle is None:
                self._steps[thread] = None
            elif step is None or step.handle is not handle:
                self._steps[thread] = _Step(handle, now)
            elif now - step.since >= self._held_seconds - self._look_seconds:
                # It began up to a look before it was first seen.
                self._name(handle._context, frame)  # type: ignore[attr-defined]

    def _run(self) -> None:
        asked = self._clock()
        while not self._end.wait(self._look_seconds):
            self.look()
            if self._clock() - asked >= PROBE_SECONDS:
                asked = self._clock()
                for loop in tuple(self._loops):
                    self.lag.ask(loop)

    def _name(self, context: Context, frame: FrameType) -> None:
        run = context.copy().run(TaskRunContext.get)
        if run is None or run.task.name in self._named or _is_ours(run.task.fn) or _imports(frame):
            return
        name = run.task.name
        self._named.add(name)
        where = _place(frame, run.task.fn)
        message = (
            f"Task {name!r} has held the event loop for over {self._held_seconds * 1000:.0f} ms"
            f" ({where}), and the flow's other async tasks with it. Await instead:"
            " `await asyncio.to_thread(...)` around what blocks, `await future` for the result of"
            " a task. Or give it a thread of its own:"
            f" GovernedTaskRunner(..., isolate={{{name!r}}})."
        )
        try:
            context.copy().run(lambda: get_run_logger().warning(message))
        except Exception:
            self._logger.warning(message)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    # The thread runs on meanwhile, and CPython 3.11 may then give what is no frame.
    while isinstance(frame, FrameType):
        yield frame
        frame = frame.f_back


def _running(frame: FrameType) -> asyncio.Handle | None:
    """The callback that a loop runs in the thread of which `frame` is the innermost frame."""
    for each in _outwards(frame):
        if each.f_code is asyncio.Handle._run.__code__:
            handle = each.f_locals.get("self")
            return handle if isinstance(handle, asyncio.Handle) else None
    return None


def _is_ours(task_function: Callable[..., object]) -> bool:
    return str(getattr(task_function, "__module__", "")).startswith("prefect_governor.")


def _imports(frame: FrameType) -> bool:
    return any(each.f_code.co_filename.startswith("<frozen importlib") for each in _outwards(frame))


def _place(frame: FrameType, task_function: Callable[..., object]) -> str:
    """Where the task is: its own file's line if it is there, else the innermost."""
    code = getattr(task_function, "__code__", None)
    own = None if code is None else code.co_filename
    at = next((each for each in _outwards(frame) if each.f_code.co_filename == own), frame)
    return f"{os.path.basename(at.f_code.co_filename)}:{at.f_lineno}, in {at.f_code.co_name}"
