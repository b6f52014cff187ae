"""Whether the processes at a ledger are there: this one, by its own clock, and the others.

A process says every few seconds that it is there. One that is dead is known by its lock. One that
lives and was not heard of for 25 s was stopped or cut off: its calls become unconfirmed
and their slots are others'. Well before that it has ended its open calls by itself, or does so
before anything else when it goes on.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.machine.clock import Instant

logger = logging.getLogger(__name__)

# How often a process says that it is there and looks for others, in seconds.
SWEEP_SECONDS = 2.5
# How long a process goes without a commit before it takes itself for cut off, in seconds.
CUT_OFF_SECONDS = 15.0
# How long another is not heard of before its calls are taken from it, in seconds. Found out at the
# next sweep, all of it stays within the 30 s that P3 and P17 give.
LOST_SECONDS = 25.0
# How often a process looks at its own clock, in seconds.
_LOOK_SECONDS = 1.0


class Process(Protocol):
    """Who spends here, and whether another one has died. `owner.Owner` is the real one."""

    id: str
    pid: int

    def is_dead(self, owner: str) -> bool: ...

    def bury(self, owner: str) -> None: ...

    def release(self) -> None: ...


class Liveness:
    """This process's part in it. `sweep` and `committed` are its writer's; the rest is for any
    thread."""

    def __init__(self, process: Process, now: Callable[[], Instant], *, threaded: bool) -> None:
        self._process, self._now, self._threaded = process, now, threaded
        self._callbacks: list[Callable[[], None]] = []
        self._committed = now().boot
        self._swept = 0
        self._cut_off = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None

    def on_cut_off(self, callback: Callable[[], None]) -> None:
        """Call this, from any thread, as soon as the process finds that it was cut off."""
        with self._lock:
            self._callbacks.append(callback)
            if self._threaded and self._watch is None:
                self._watch = threading.Thread(
                    target=self._look_on, name="prefect-governor-liveness", daemon=True
                )
                self._watch.start()

    def look(self) -> bool:
        """Whether the process is cut off, by its own clock. Where it has only now become so, its
        callbacks are called first."""
        with self._lock:
            if self._now().boot - self._committed < CUT_OFF_SECONDS * 1e9:
                return False
            if self._cut_off:
                return True
            self._cut_off = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("a callback of a process that was cut off failed")
        return True

    def committed(self) -> None:
        """A transaction has ended well."""
        with self._lock:
            self._committed = self._now().boot
            self._cut_off = False

    def again(self) -> None:
        """What was said last may not have been kept: say it in the next transaction."""
        self._swept = 0

    def sweep(self, batch: Batch) -> None:
        """Where it is time, say that this process is there, and take leave of those that are not.

        A process that was cut off itself lets the others speak first: they may have been too.
        """
        now = batch.rows.now.boot
        was_cut_off = self.look()
        if self._swept and not was_cut_off and now - self._swept < SWEEP_SECONDS * 1e9:
            return
        self._swept = now
        batch.rows.renew_owner(self._process.id, self._process.pid)
        for row in batch.rows.owners():
            if row.owner == self._process.id:
                continue
            silent = now - row.renewed
            if self._process.is_dead(row.owner):
                batch.expire(row.owner, "its process died")
                self._process.bury(row.owner)
            elif row.renewed and silent >= LOST_SECONDS * 1e9 and not was_cut_off:
                reason = f"its process has not been heard of for {silent / 1e9:.0f} s"
                # What it does in slots outside of calls goes on when it does.
                batch.expire(row.owner, reason, slots=False)

    def end(self) -> None:
        self._ended.set()

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.look()
