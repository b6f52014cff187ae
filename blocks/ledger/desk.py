"""The process's one door to a ledger: what callers ask, and when it closes."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from prefect_governor.blocks.errors import CallRefused, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.queue import Waiter
from prefect_governor.blocks.ledger.labels import storable_demand
from prefect_governor.blocks.ledger.liveness import (
    CUT_OFF_SECONDS,
    LOST_SECONDS,
    SWEEP_SECONDS,
    Process,
)
from prefect_governor.blocks.ledger.stats import RunStats
from prefect_governor.blocks.ledger.writer import PATIENCE_SECONDS, POLL_SECONDS, Writer
from prefect_governor.blocks.machine.answers import Answer
from prefect_governor.blocks.machine.stops import current_stop
from prefect_governor.blocks.machine.strands import Strand
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import (
    Admission,
    Bound,
    Demand,
    Facts,
    Reply,
    ReplyKey,
    Usage,
)
from prefect_governor.blocks.records.limits import LimitRecord, Signals
from prefect_governor.blocks.secrets.exits import scrubbed

__all__ = [
    "CUT_OFF_SECONDS",
    "LOST_SECONDS",
    "PATIENCE_SECONDS",
    "POLL_SECONDS",
    "SWEEP_SECONDS",
    "LedgerDesk",
    "Process",
]

T = TypeVar("T")


class LedgerDesk(Writer):
    """A process's client of a ledger, see `context.governing.Desk`. Thread-safe. Every future
    resolves after a durable commit.

    Where the ledger fails, nobody is let through: calls wait for it, and so do resolves, for up to
    30 s since it first failed; then LedgerUnavailable is raised through their futures. A resolve
    happens all the same as soon as the ledger is back.
    """

    def admit(
        self,
        demand: Demand,
        *,
        queue_timeout_seconds: float | None = None,
        pause_seconds: float = 0.0,
        strand: Strand | None = None,
    ) -> "Future[Admission]":
        """Queue for admission.

        A call that is over budget is refused at once, or, with `pause_seconds`, stands aside for up
        to so long, holding nothing and holding up nobody, and goes on as soon as there is money.
        The time that it is paused does not count towards `queue_timeout_seconds`.

        `strand` is who must go on for the call to end, None where others may end it too. Whoever
        waits for himself is refused within a second.

        Where the code that asks is stopped, now or while it waits, it is refused at once.

        Raises through the future: OverBudget, QueueTimeout, RunStopped, LedgerUnavailable,
        CallRefused for an id that was used before. Raises ConfigurationError for a label that is no
        text; what no store can hold of a text is replaced.
        """
        demand = storable_demand(demand)
        since = self._now().boot
        until = None
        if queue_timeout_seconds is not None:
            until = since + int(queue_timeout_seconds * 1e9)
        waiter = Waiter(
            demand,
            Answer(),
            since,
            until,
            pause=int(pause_seconds * 1e9),
            strand=strand,
            stop=current_stop(),
        )
        self._check_process()
        with self._wake:
            self._check_open()
            self._arrivals.append(waiter)
            self._wake.notify_all()
        return waiter.future

    def is_stale(self, admission: Admission) -> bool:
        """Whether a call was admitted so long ago that its process may have been taken for lost
        since: its slot may be another's, its reservation may have been given back by hand. One that
        was not sent yet must not be sent any more."""
        return self.age_seconds(admission) >= CUT_OFF_SECONDS

    def age_seconds(self, admission: Admission) -> float:
        """How long ago a call was admitted, by the ledger's clock."""
        return max(0, self._now().boot - admission.at) / 1e9

    def abandon(self, call_id: str) -> "Future[None]":
        """The caller no longer wants it: it leaves the queue, or is voided if just admitted."""

        def leave(batch: Batch) -> None:
            waiter = self._queue.remove(call_id)
            if waiter is None or waiter.doubtful:
                batch.void(call_id, "the caller left before it was sent")
                self._landed(call_id)
            if waiter is not None:
                waiter.future.cancel()

        return self._resolve(call_id, leave)

    def settle(
        self,
        call_id: str,
        usage: Usage,
        reply: Reply | None = None,
        *,
        facts: Facts | None = None,
        signals: Signals | None = None,
    ) -> "Future[None]":
        """What the provider billed; the reply, what the call teaches of its model and what it says
        of the provider with it."""
        return self._end(call_id, lambda batch: batch.settle(call_id, usage, reply, facts, signals))

    def void(self, call_id: str, reason: str, *, signals: Signals | None = None) -> "Future[None]":
        """Provably not billed."""
        why = scrubbed(storable(reason))
        return self._end(call_id, lambda batch: batch.void(call_id, why, signals))

    def unconfirm(
        self, call_id: str, reason: str, *, signals: Signals | None = None
    ) -> "Future[None]":
        """Nobody knows what was billed: it stays charged at its bound."""
        why = scrubbed(storable(reason))
        return self._end(call_id, lambda batch: batch.unconfirm(call_id, why, signals))

    def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> "Future[None]":
        """The provider said 429: everyone under these limits holds for so long."""

        def hold(batch: Batch) -> None:
            batch.throttle(limits, retry_after_seconds)
            self._tally.throttled()

        return self.write(hold)

    def allocate(self, allocation: Allocation, name: str, bound: Bound) -> "Future[None]":
        """Set a part of a chain of budgets aside for one consumer.

        `bound` is what is set aside: `nano` in USD, its tokens in total; of what it has 0 of,
        nothing is, unless it is 0 of both. `name` is what people call it. A label in
        `allocation.within` that is empty is the window that the budget is in when it is made.

        Asked again for one that is open, nothing changes but its owner. One that was closed is
        opened anew, with what is left of `bound` after what was spent under it before.

        Raises through the future: OverBudget where so much is not free now, which never waits;
        ConfigurationError for a key that does not begin with "alloc/".
        """
        return self.write(lambda batch: batch.allocate(allocation, name, bound))

    def give_back(self, key: str) -> "Future[int]":
        """Close an allocation; the nano-dollars that went back. Calls of it that are in flight
        settle into it all the same; new ones are refused. 0 where it was closed before."""
        return self.write(lambda batch: batch.give_back(key))

    def handed_on(self, call_id: str) -> None:
        """Whoever runs here reads the reply of an admitted call, and ends it."""
        self._stalls.handed_on(call_id)

    def reply(self, key: ReplyKey) -> Reply | None:
        """A reply kept earlier for the same call of the same item, if there is one."""
        return self.store.read_reply(key)

    def define(self, terms: LimitRecord) -> "Future[None]":
        """Apply a limit's terms before whatever is asked for next. It waits for a ledger that fails
        as long as a call does."""
        future: Future[None] = self._ask(lambda batch: batch.define(terms), must_happen=True)
        return future

    def write(self, work: Callable[[Batch], T]) -> "Future[T]":
        """Do any other work in the next transaction. It is not tried again where that fails."""
        future: Future[T] = self._ask(work)
        return future

    def stats(self, run: str | None) -> RunStats:
        """What a run's calls did here; `run` as `Attribution.run_id` or `flow_run_id` has it."""
        return self._tally.of(run)

    def close(self) -> None:
        """End the thread. What was asked before is done, calls still in flight become unconfirmed,
        waiting ones are refused. In a forked child nothing happens: it is all the parent's."""
        if os.getpid() != self._pid:
            return
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify_all()
        self._liveness.end()
        if self._thread is not None:
            self._thread.join()
        try:
            refusal = CallRefused("the process is ending; no more calls are admitted")
            for waiter in [*self._queue.everybody(), *self._arrivals]:
                self._queue.remove(waiter.demand.call_id)
                self._refuse(waiter, refusal)
            self._arrivals.clear()
            self._unknown.clear()
            self.run_once()
            self._overdue.catch_up()
            for request in [*self._again, *self._overdue]:
                request.fail(self._last_error or LedgerUnavailable("the ledger is closed"))
            with self.store.transaction() as rows:
                batch = Batch(rows, self.process.id)
                batch.expire(self.process.id, "its process ended")
                batch.write()
        except LedgerUnavailable:
            # Whoever opens the ledger next finds this process dead, and does the same.
            pass
        else:
            self.process.release()
        finally:
            self.store.close()

    def _end(self, call_id: str, work: Callable[[Batch], Any]) -> "Future[None]":
        def resolve(batch: Batch) -> None:
            work(batch)
            self._landed(call_id)

        return self._resolve(call_id, resolve)

    def _resolve(self, call_id: str, work: Callable[[Batch], None]) -> "Future[None]":
        future: Future[None] = self._ask(work, must_happen=True, call_id=call_id)
        return future
