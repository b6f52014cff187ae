"""One writer that commits for everybody in its process.

Requests that arrive while a commit is under way, and a moment after it, share the next one (group
commit). What ends and what waits meet in the same transaction, so a slot that comes free is taken
by it.

A transaction that fails changes nothing and lets nobody through. What must happen and who waits
stay where they are and are tried again; whoever has waited for the ledger itself for half a minute
is answered with why.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prefect_governor.blocks.errors import (
    CallRefused,
    GovernorError,
    LedgerUnavailable,
    QueueTimeout,
    RunStopped,
)
from prefect_governor.blocks.ledger.apart import Apart
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.queue import Queue, Waiter
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.decision.turns import REPEAT_SECONDS, Turns
from prefect_governor.blocks.ledger.gathering import Gathering
from prefect_governor.blocks.ledger.liveness import SWEEP_SECONDS, Liveness, Process
from prefect_governor.blocks.ledger.patience import Patience
from prefect_governor.blocks.ledger.request import Request, as_unavailable, fail
from prefect_governor.blocks.ledger.serving import MOST_GRANTS, Served, refuse_stopped, serve
from prefect_governor.blocks.ledger.stalls import Stalls
from prefect_governor.blocks.ledger.stats import Tally
from prefect_governor.blocks.machine.answers import Monitor
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.machine.stops import Listener, listen

# How often a waiting process looks whether another one wrote, in seconds.
POLL_SECONDS = 0.005
# The same, where all that it has waiting is paused for money.
PAUSED_POLL_SECONDS = 0.25
# How long the ledger may fail before those who wait for it are told, in seconds.
PATIENCE_SECONDS = 30.0
# How long after a failure it is tried again, in seconds: soon at first, then less often.
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


class Writer(Listener):
    """The part of a desk that writes. Its own thread is the only one that does.

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
        self._requests: deque[Request] = deque()
        # What failed and must happen: with the next transaction, or, where a request itself may be
        # at fault, apart from all else.
        self._again: list[Request] = []
        self._overdue = Apart(store, process.id)
        # Whoever asks may be interrupted while it does.
        self._wake = Monitor()
        self._queue = Queue()
        self._unknown: list[Waiter] = []
        self._tally = Tally()
        self._stalls = Stalls(lambda: now().boot)
        self._stop_was_told = False
        self._turns = Turns(process.id)
        self._patience = Patience()
        self._liveness = Liveness(process, now, threaded=threaded)
        self._failing_since: int | None = None
        self._failures = 0
        self._last_error: GovernorError | None = None
        # Fewer where one of those that were let through may be what fails the transaction.
        self._most_grants = MOST_GRANTS
        # How many requests and calls the last transaction took in.
        self._shared_by = 0
        self._closed = False
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(
                target=self._serve, name="prefect-governor-ledger", daemon=True
            )
            self._thread.start()
        listen(self)

    def stop_told(self) -> None:
        """Some stop was set: those of its waiters that are here are refused at once."""
        self._stop_was_told = True
        # A desk that is closed has refused everybody.
        with suppress(LedgerUnavailable):
            self._ask(lambda _: None)

    def on_cut_off(self, callback: Callable[[], None]) -> None:
        """Have `callback` called as soon as this process finds, by its own clock, that it has not
        committed anything for 15 s: it was stopped, or is cut off from its ledger. From 25 s on
        others may take its slots, so whoever has calls open ends them then and there. Called from
        any thread, once for each time it happens; it must not wait for the ledger."""
        self._liveness.on_cut_off(callback)

    def run_once(self) -> float | None:
        """Apply what is pending in one transaction; returns the seconds until asking again can
        help, None for "not before a request"."""
        self._liveness.look()
        self._overdue.catch_up()
        began = self._now().boot
        requests: list[Request] = []
        fresh: list[Waiter] = []
        taken = False
        served = Served(most=self._most_grants)
        try:
            with self.store.transaction() as rows:
                # Not before it is this process's turn: what came while it waited rides along.
                requests, fresh = self._take_in()
                taken = True
                batch = Batch(rows, self.process.id)
                self._liveness.sweep(batch)
                batch.foresee(
                    [
                        *(each.call_id for each in requests if each.call_id is not None),
                        *(each.demand.call_id for each in fresh),
                    ]
                )
                for request in requests:
                    request.do(batch)
                told, self._stop_was_told = self._stop_was_told, False
                refuse_stopped(self._queue.everybody() if told else fresh, self._queue, served)
                now = rows.now.boot
                self._tally.waited(self._queue.shown(), now)
                if self._somebody_waits():
                    self._turns.hear(rows, self._tally.held)
                    serve(self._queue, batch, self._turns, served)
                    self._refuse_stalled(batch, served)
                batch.write()
                self._turns.say(rows, self._queue)
        except Exception as error:
            if not taken:
                requests, fresh = self._take_in()
            return self._failed(requests, fresh, served, error, began)
        self._went_well()
        for waiter in fresh:
            waiter.known = True
        places = self._turns.places(self._queue)
        self._tally.waiting(self._queue.shown(), places)
        self._patience.tell(self._queue, places, now)
        for waiter, _ in served.grants:
            self._tally.took_off(waiter.demand)
            self._stalls.took_off(waiter)
        for request in requests:
            request.answer()
        for waiter, admission in served.grants:
            if waiter.future.set_running_or_notify_cancel():
                waiter.future.set_result(admission)
            else:
                self._void(admission.call_id)
        for waiter, refusal in served.refusals:
            self._refuse(waiter, refusal)
        return self._due(served, now)

    def _refuse_stalled(self, batch: Batch, served: Served) -> None:
        """Answer those that would wait for themselves for ever."""
        for waiter, refusal in self._stalls.find(self._queue, batch):
            self._queue.remove(waiter.demand.call_id)
            served.refusals.append((waiter, refusal))

    def _landed(self, call_id: str) -> None:
        self._tally.landed(call_id)
        self._stalls.landed(call_id)

    # What is pending

    def _take_in(self) -> tuple[list[Request], list[Waiter]]:
        """What arrived: all of the requests, as a call may need the limit that one of them defines,
        and the calls whose ids the ledger was not asked for yet."""
        twice = []
        with self._wake:
            while self._arrivals:
                waiter = self._arrivals.popleft()
                if waiter.demand.call_id in self._queue:
                    twice.append(waiter)
                else:
                    self._queue.add(waiter)
                    self._unknown.append(waiter)
            requests = [*self._again, *self._requests]
            self._again.clear()
            self._requests.clear()
        for waiter in twice:
            fail(waiter.future, CallRefused(f"call {waiter.demand.call_id!r} waits already"))
        fresh, self._unknown = self._unknown, []
        self._shared_by = len(requests) + len(fresh)
        return requests, fresh

    def _somebody_waits(self) -> bool:
        return bool(len(self._queue) or self._queue.paused())

    def _due(self, served: Served, now: int) -> float | None:
        """The seconds until the first thing that time alone brings."""
        if served.more:
            return 0.0
        shown = self._queue.shown()
        dues = [w.wait.until for w in shown if w.wait is not None and w.wait.until]
        dues += [w.until for w in self._queue.timed() if w.until is not None]
        return max(0.0, (min(dues) - now) / 1e9) if dues else None

    # When a transaction fails

    def _went_well(self) -> None:
        self._failing_since, self._failures = None, 0
        self._most_grants = min(MOST_GRANTS, 2 * self._most_grants)
        self._liveness.committed()

    def _failed(
        self,
        requests: list[Request],
        fresh: list[Waiter],
        served: Served,
        error: Exception,
        began: int,
    ) -> float:
        """The transaction was rolled back: nothing of it happened, nobody is let through. Returns
        the seconds until it is tried again.

        A store that fails does so for all. Anything else is the fault of one row: the requests are
        done apart from here on, and of the calls that were let through half as many are at a time,
        until it stands alone and is refused.
        """
        unavailable = self._last_error = as_unavailable(error)
        self._liveness.again()
        self._turns = Turns(self.process.id)
        self._failing_since = self._failing_since or began
        of_store = isinstance(error, LedgerUnavailable)
        for request in requests:
            if not of_store:
                self._overdue.append(request)
            elif request.must_happen:
                self._again.append(request)
            else:
                request.fail(unavailable)
        apart = not of_store and bool(requests)
        if apart:
            self._overdue.catch_up()
        elif not of_store:
            apart = self._set_apart(served, unavailable)
        # Who has stood first stands first again.
        for waiter, _ in reversed(served.grants):
            # A commit that failed may have been kept all the same.
            waiter.doubtful = True
            self._queue.add(waiter, first=True)
        for waiter, refusal in reversed(served.refusals):
            if isinstance(refusal, QueueTimeout | RunStopped):
                self._refuse(waiter, refusal)
            else:
                self._queue.add(waiter, first=True)
        doubtful = [waiter for waiter, _ in served.grants]
        for waiter in doubtful:
            waiter.known = False
        here = {id(each) for each in self._queue.everybody()}
        self._unknown = [
            each for each in {id(w): w for w in [*fresh, *doubtful]}.values() if id(each) in here
        ]
        if self._now().boot - self._failing_since >= PATIENCE_SECONDS * 1e9:
            self._give_up(unavailable)
        if apart:
            return 0.0
        retry = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        return retry

    def _set_apart(self, served: Served, error: GovernorError) -> bool:
        """Refuse the one call that can be what failed the transaction, or let fewer through in the
        next one. False where it is none of theirs."""
        answered = [*served.grants, *served.refusals]
        alone = served.deciding or (answered[0][0] if len(answered) == 1 else None)
        if alone is None:
            self._most_grants = max(1, min(len(answered), self._most_grants) // 2)
            return bool(answered)
        self._queue.remove(alone.demand.call_id)
        served.grants = [each for each in served.grants if each[0] is not alone]
        served.refusals = [each for each in served.refusals if each[0] is not alone]
        fail(alone.future, error)
        return True

    def _give_up(self, error: GovernorError) -> None:
        """Nobody waits for the ledger any longer. What must happen still will."""
        for request in [*self._again, *self._overdue]:
            request.fail(error)
        for waiter in self._queue.everybody():
            self._queue.remove(waiter.demand.call_id)
            self._refuse(waiter, error)
        self._unknown.clear()

    def _refuse(self, waiter: Waiter, error: BaseException) -> None:
        if waiter.doubtful:
            self._void(waiter.demand.call_id)
        fail(waiter.future, error)

    def _void(self, call_id: str) -> None:
        """Void a call that was admitted, or may have been, and that nobody sends."""

        def void(batch: Batch) -> None:
            batch.void(call_id, "it was admitted and never sent")
            self._landed(call_id)

        self._again.append(Request(void, must_happen=True, call_id=call_id))

    # The thread

    def _serve(self) -> None:
        pause: float | None = 0.0
        gathering = Gathering(self._now)
        while not self._closed:
            if self._rest(pause):
                gathering.begin()
                pause = self.run_once()
                gathering.end(self._shared_by)

    def _rest(self, pause: float | None) -> bool:
        """Sleep until there is something to do. False to look once more."""
        waiting = len(self._queue) > 0
        # A process that waits says so again before it is passed over.
        longest = REPEAT_SECONDS if waiting else SWEEP_SECONDS
        if (look := self._stalls.seconds(self._queue)) is not None:
            longest = min(longest, look)
        if self._again and self._failing_since is None:
            longest = 0.0
        limit = longest if pause is None else min(pause, longest)
        deadline = self._now().boot + int(limit * 1e9)
        while True:
            with self._wake:
                if self._requests or self._arrivals or self._closed:
                    return not self._closed
                left = (deadline - self._now().boot) / 1e9
                if left > 0:
                    poll = self._poll_seconds()
                    self._wake.wait(left if poll is None else min(left, poll))
                if self._requests or self._arrivals:
                    return True
            if self._now().boot >= deadline:
                return True
            if self._poll_seconds() is not None and self._changed():
                return True

    def _poll_seconds(self) -> float | None:
        """How often to look whether another process wrote; None for not at all."""
        if self._failing_since is not None:
            return None
        if len(self._queue):
            return POLL_SECONDS
        return PAUSED_POLL_SECONDS if self._queue.paused() else None

    def _changed(self) -> bool:
        try:
            return self.store.changed()
        except LedgerUnavailable:
            return True

    def _ask(
        self, work: Callable[[Batch], Any], *, must_happen: bool = False, call_id: str | None = None
    ) -> Any:
        request = Request(work, must_happen, call_id)
        self._check_process()
        with self._wake:
            self._check_open()
            self._requests.append(request)
            self._wake.notify_all()
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
