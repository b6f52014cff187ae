"""The process's one door to a ledger: a queue, and one writer that commits for everybody in it.

Requests that arrive while a commit is under way share the next one (group commit). What ends and
what waits meet in the same transaction, so a slot that comes free is taken by it.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from prefect_governor.blocks.errors import CallRefused, GovernorError, LedgerUnavailable
from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.clock import machine_now
from prefect_governor.blocks.ledger.queue import Queue, Waiter
from prefect_governor.blocks.ledger.records import Admission, Demand, Reply, ReplyKey, Usage
from prefect_governor.blocks.ledger.serving import Served, serve
from prefect_governor.blocks.ledger.stats import RunStats, Tally, run_of
from prefect_governor.blocks.ledger.store import Instant, Rows, Store
from prefect_governor.blocks.ledger.turns import REPEAT_SECONDS, Turns

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Grants in one transaction: enough to share a commit, few enough to share the lock.
BATCH = 256
# How often a waiting process looks whether another one wrote, in seconds.
POLL_SECONDS = 0.005
# How often the locks of other processes are tried, in seconds: well within P3's 30.
SWEEP_SECONDS = 5.0


class Process(Protocol):
    """Who spends here, and whether another one has died. `owner.Owner` is the real one."""

    id: str
    pid: int

    def is_dead(self, owner: str) -> bool: ...

    def bury(self, owner: str) -> None: ...

    def release(self) -> None: ...


@dataclass
class _Request:
    work: Callable[[Batch], Any]
    # What a provider billed must reach the ledger, if not with this transaction, then later.
    must_happen: bool = False
    future: "Future[Any]" = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None


class LedgerDesk:
    """See `wire.governing.Desk`. Thread-safe; its own thread is the only one that writes.

    Args:
        store: the ledger.
        process: who spends.
        now: the clock, injected by tests.
        threaded: False leaves the work to whoever calls `run_once`, as tests do.
    """

    def __init__(
        self,
        store: Store,
        process: Process,
        *,
        now: Callable[[], Instant] = machine_now,
        threaded: bool = True,
    ) -> None:
        self.store = store
        self.process = process
        self._now = now
        self._arrivals: deque[Waiter] = deque()
        self._requests: deque[_Request] = deque()
        self._overdue: deque[Callable[[Batch], Any]] = deque()
        self._wake = threading.Condition()
        self._queue = Queue()
        self._tally = Tally()
        self._turns = Turns(process.id)
        self._swept = 0
        self._closed = False
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(
                target=self._serve, name="prefect-governor-ledger", daemon=True
            )
            self._thread.start()

    # What callers ask

    def admit(
        self, demand: Demand, *, queue_timeout_seconds: float | None = None
    ) -> "Future[Admission]":
        since = self._now().boot
        until = None
        if queue_timeout_seconds is not None:
            until = since + int(queue_timeout_seconds * 1e9)
        waiter = Waiter(demand, Future(), since, until)
        self._check_process()
        with self._wake:
            self._check_open()
            self._arrivals.append(waiter)
            self._wake.notify()
        return waiter.future

    def abandon(self, call_id: str) -> "Future[None]":
        def leave(batch: Batch) -> None:
            waiter = self._queue.remove(call_id)
            if waiter is None:
                batch.void(call_id, "the caller left before it was sent")
                self._tally.landed(call_id)
            else:
                waiter.future.cancel()

        return self._ask(leave, must_happen=True)

    def settle(self, call_id: str, usage: Usage, reply: Reply | None = None) -> "Future[None]":
        return self._end(call_id, lambda batch: batch.settle(call_id, usage, reply))

    def void(self, call_id: str, reason: str) -> "Future[None]":
        return self._end(call_id, lambda batch: batch.void(call_id, reason))

    def unconfirm(self, call_id: str, reason: str) -> "Future[None]":
        return self._end(call_id, lambda batch: batch.unconfirm(call_id, reason))

    def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> "Future[None]":
        def hold(batch: Batch) -> None:
            batch.throttle(limits, retry_after_seconds)
            self._tally.throttled()

        return self._ask(hold)

    def reply(self, key: ReplyKey) -> Reply | None:
        return self.store.read_reply(key)

    def refuse_waiting(self, run: str, error: CallRefused) -> "Future[None]":
        """Refuse the calls of a run that wait here; those in flight go on."""

        def work(_: Batch) -> None:
            for waiter in list(self._queue.waiters()):
                if run_of(waiter.demand) == run:
                    self._queue.remove(waiter.demand.call_id)
                    _fail(waiter.future, error)

        return self._ask(work)

    def write(self, work: Callable[[Batch], T]) -> "Future[T]":
        """Do any other work in the next transaction."""
        return self._ask(work)

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
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        try:
            refusal = CallRefused("the process is ending; no more calls are admitted")
            for waiter in [*self._queue.waiters(), *self._arrivals]:
                self._queue.remove(waiter.demand.call_id)
                _fail(waiter.future, refusal)
            self._arrivals.clear()
            self.run_once()
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

    # The writer

    def run_once(self) -> float | None:
        """Apply what is pending in one transaction; returns the seconds until asking again can
        help, None for "not before a request"."""
        self._catch_up()
        requests = self._take_in()
        served = Served()
        try:
            with self.store.transaction() as rows:
                batch = self._open(rows)
                for request in requests:
                    try:
                        request.result = request.work(batch)
                    except GovernorError as error:
                        request.error = error
                now = rows.now.boot
                self._tally.waited(self._queue.heads(), now)
                if len(self._queue):
                    self._turns.hear(rows)
                    serve(self._queue, batch, self._turns, served)
                batch.write()
                self._turns.say(rows, self._queue)
        except Exception as error:
            self._refuse_all(requests, served, _as_unavailable(error))
            return SWEEP_SECONDS
        self._tally.waiting(self._queue.heads())
        for waiter, _ in served.grants:
            self._tally.took_off(waiter.demand)
        for request in requests:
            self._answer(request)
        for waiter, admission in served.grants:
            if waiter.future.set_running_or_notify_cancel():
                waiter.future.set_result(admission)
            else:
                self._give_back(admission.call_id)
        for waiter, refusal in served.refusals:
            _fail(waiter.future, refusal)
        return self._due(served, now)

    def _take_in(self) -> list[_Request]:
        """What arrived. All of the requests: a call may need the limit that one of them defines."""
        with self._wake:
            while self._arrivals:
                self._queue.add(self._arrivals.popleft())
            requests = list(self._requests)
            self._requests.clear()
        return requests

    def _catch_up(self) -> None:
        """Do what failed before and must happen. Each in a transaction of its own, so that one that
        never succeeds holds up nothing else."""
        for _ in range(len(self._overdue)):
            work = self._overdue.popleft()
            try:
                with self.store.transaction() as rows:
                    batch = Batch(rows, self.process.id)
                    work(batch)
                    batch.write()
            except Exception as error:
                _as_unavailable(error)
                self._overdue.append(work)
                return

    def _serve(self) -> None:
        pause: float | None = 0.0
        while not self._closed:
            if self._rest(pause):
                pause = self.run_once()

    def _rest(self, pause: float | None) -> bool:
        """Sleep until there is something to do. False to look once more."""
        waiting = len(self._queue) > 0
        # A process that waits says so again before it is passed over.
        longest = REPEAT_SECONDS if waiting else SWEEP_SECONDS
        limit = longest if pause is None else min(pause, longest)
        deadline = self._now().boot + int(limit * 1e9)
        while True:
            with self._wake:
                if self._requests or self._arrivals or self._closed:
                    return not self._closed
                left = (deadline - self._now().boot) / 1e9
                if left > 0:
                    self._wake.wait(min(left, POLL_SECONDS) if waiting else left)
                if self._requests or self._arrivals:
                    return True
            if self._now().boot >= deadline:
                return True
            if waiting and self._changed():
                return True

    def _changed(self) -> bool:
        try:
            return self.store.changed()
        except LedgerUnavailable:
            return True

    def _open(self, rows: Rows) -> Batch:
        batch = Batch(rows, self.process.id)
        now = rows.now.boot
        if not self._swept or now - self._swept >= SWEEP_SECONDS * 1e9:
            self._swept = now
            rows.add_owner(self.process.id, self.process.pid)
            for owner in rows.owners():
                if self.process.is_dead(owner):
                    batch.expire(owner, "its process died")
                    self.process.bury(owner)
        return batch

    def _due(self, served: Served, now: int) -> float | None:
        """The seconds until the first thing that time alone brings."""
        if served.more:
            return 0.0
        dues = [w.wait.until for w in self._queue.heads() if w.wait is not None and w.wait.until]
        dues += [w.until for w in self._queue.waiters() if w.until is not None]
        return max(0.0, (min(dues) - now) / 1e9) if dues else None

    # Requests

    def _end(self, call_id: str, work: Callable[[Batch], Any]) -> "Future[None]":
        def resolve(batch: Batch) -> None:
            work(batch)
            self._tally.landed(call_id)

        return self._ask(resolve, must_happen=True)

    def _ask(self, work: Callable[[Batch], T], *, must_happen: bool = False) -> "Future[T]":
        request = _Request(work, must_happen)
        self._check_process()
        with self._wake:
            self._check_open()
            self._requests.append(request)
            self._wake.notify()
        return request.future

    def _check_process(self) -> None:
        # Before any lock of ours: one that was held during a fork is never let go in the child.
        if os.getpid() != self._pid:
            raise LedgerUnavailable(
                "this desk belongs to the process that was forked; load the governor again here"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerUnavailable("the ledger's desk is closed: the process is ending")

    def _answer(self, request: _Request) -> None:
        if not request.future.set_running_or_notify_cancel():
            return
        if request.error is not None:
            request.future.set_exception(request.error)
        else:
            request.future.set_result(request.result)

    def _refuse_all(self, requests: list[_Request], served: Served, error: GovernorError) -> None:
        """The transaction was rolled back: nothing of it happened, nobody is let through."""
        self._swept = 0
        self._turns = Turns(self.process.id)
        self._overdue.extend(each.work for each in requests if each.must_happen)
        for request in requests:
            request.error = error
            self._answer(request)
        for waiter, admission in served.grants:
            # A commit that failed may have been kept all the same.
            self._give_back(admission.call_id)
            _fail(waiter.future, error)
        for waiter, _ in served.refusals:
            _fail(waiter.future, error)
        for waiter in list(self._queue.waiters()):
            self._queue.remove(waiter.demand.call_id)
            _fail(waiter.future, error)

    def _give_back(self, call_id: str) -> None:
        """Void a call that was admitted and that nobody sends."""

        def void(batch: Batch) -> None:
            batch.void(call_id, "it was admitted and never sent")
            self._tally.landed(call_id)

        self._requests.append(_Request(void, must_happen=True))


def _as_unavailable(error: Exception) -> GovernorError:
    if isinstance(error, GovernorError):
        return error
    logger.error("the ledger's transaction failed", exc_info=error)
    unavailable = LedgerUnavailable(f"the ledger's transaction failed: {error!r}")
    unavailable.__cause__ = error
    return unavailable


def _fail(future: "Future[Any]", error: BaseException) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
