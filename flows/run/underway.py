"""Task runs that were started and have not ended: waited for together, cancelled together."""

import queue
import time
from collections.abc import Hashable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from prefect_governor.flows.runner import GovernedTaskRunner

# How long to wait for one to end before looking whether the run was stopped, in seconds.
LOOK_SECONDS = 0.2
# How long those that are cancelled may take to say so, in seconds.
ABORT_SECONDS = 5.0
CANCELLED = "cancelled in flight; what it may have cost stays charged as unconfirmed"

# A task run, or work that shares one.
Run = PrefectFuture[Any] | Future[Any]
K = TypeVar("K", bound=Hashable)
F = TypeVar("F", bound=Run)


class UnderWay(Generic[K, F]):
    """Futures by key, in the order of their start."""

    def __init__(self) -> None:
        self._running: dict[K, F] = {}
        self._ended: queue.SimpleQueue[K] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._running))

    def add(self, key: K, future: F) -> None:
        """One more. A key may come again once it has ended."""
        self._running[key] = future
        future.add_done_callback(partial(self._tell, key))

    def wait(self) -> list[tuple[K, F]]:
        """Those that ended since; waits a moment for the first, none if none did."""
        ended: list[K] = []
        try:
            ended.append(self._ended.get(timeout=LOOK_SECONDS))
        except queue.Empty:
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        return [(key, self._running.pop(key)) for key in ended]

    def drain(self, seconds: float) -> list[tuple[K, F]]:
        """All that end within so long."""
        ended: list[tuple[K, F]] = []
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            ended += self.wait()
        return ended

    def cancel(self) -> list[tuple[K, F]]:
        """Cancel all tasks of the flow run, and give those that end within `ABORT_SECONDS`."""
        context = FlowRunContext.get()
        if context is not None and isinstance(context.task_runner, GovernedTaskRunner):
            context.task_runner.cancel_all()
        return self.drain(ABORT_SECONDS)

    def _tell(self, key: K, _: object) -> None:
        self._ended.put(key)
