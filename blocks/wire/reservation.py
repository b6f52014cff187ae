"""An admitted call, and that it is resolved once whatever becomes of it."""

import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

from prefect_governor.blocks.ledger.records import Demand, Reply, ReplyKey, Usage
from prefect_governor.blocks.model.tariffs import Price
from prefect_governor.blocks.scope import Scope
from prefect_governor.blocks.wire.governing import Desk
from prefect_governor.blocks.wire.plans import CallPlan, Dialect
from prefect_governor.blocks.wire.verdict import Outcome

_counting = threading.Lock()


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be asked for: planned, priced, not admitted (`demand` has no id yet).

    `throttle_keys`: those of its limits that a 429 of the provider holds.
    """

    desk: Desk
    dialect: Dialect
    plan: CallPlan
    price: Price
    demand: Demand
    throttle_keys: tuple[str, ...]
    queue_timeout_seconds: float | None
    scope: Scope | None
    key: ReplyKey | None


class Reservation:
    """What the ledger holds for a call from its admission on. The first resolve counts."""

    def __init__(self, call: Call, call_id: str, *, waited_seconds: float = 0.0) -> None:
        self.call = call
        self._id = call_id
        self._open = True
        if call.scope is not None:
            with _counting:
                call.scope.spent.waited_seconds += waited_seconds

    def settle(self, usage: Usage, reply: Reply | None) -> "Future[None]":
        """The provider billed `usage`; `reply` is kept with it."""
        self._open = False
        future = self.call.desk.settle(self._id, usage, reply)
        if self.call.scope is not None:
            spent = self.call.scope.spent
            with _counting:
                spent.nano += usage.nano
                spent.input_tokens += usage.input_tokens
                spent.output_tokens += usage.output_tokens
                spent.calls += 1
        return future

    def resolve(self, outcome: Outcome, reason: str) -> "Future[None] | None":
        """Voids or unconfirms it. None where it is resolved already."""
        if not self._open:
            return None
        self._open = False
        desk = self.call.desk
        resolve = desk.void if outcome == "void" else desk.unconfirm
        return resolve(self._id, reason)

    def __del__(self) -> None:
        # A stream that was neither read to its end nor closed.
        if self._open:
            _DROPPED.put((self.call.desk, self._id))


class _Dropped:
    """Unconfirms dropped calls from a thread of its own.

    The garbage collector may call from anywhere, from under the ledger's own lock too.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Without a thread and with nothing to do, as in a child that was just forked: neither its
        parent's thread nor what that thread's locks guard is there."""
        self._queue: SimpleQueue[tuple[Desk, str]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def watch(self) -> None:
        """Makes sure that the thread is there; called before a stream is handed out."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="governor-dropped-replies", daemon=True
                )
                self._thread.start()

    def put(self, dropped: tuple[Desk, str]) -> None:
        self._queue.put(dropped)

    def _work(self) -> None:
        while True:
            desk, call_id = self._queue.get()
            # A desk that is closed by now leaves it to its owner's end, which charges it too.
            with suppress(Exception):
                desk.unconfirm(call_id, "the reply was dropped before its end")


_DROPPED = _Dropped()
watch_dropped = _DROPPED.watch


def _after_fork() -> None:
    global _counting
    _counting = threading.Lock()
    _DROPPED.begin()


os.register_at_fork(after_in_child=_after_fork)
