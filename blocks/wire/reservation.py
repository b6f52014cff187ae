"""An admitted call, and that it is resolved once whatever becomes of it."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from queue import SimpleQueue

import httpx

from prefect_governor.blocks.context.governing import Desk
from prefect_governor.blocks.context.scope import Scope
from prefect_governor.blocks.context.stopwatch import in_flight
from prefect_governor.blocks.machine.standstill import standstill
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.calls import Admission, Demand, Facts, Reply, ReplyKey
from prefect_governor.blocks.records.limits import Signals
from prefect_governor.blocks.wire.replies.rate_headers import rate_readings
from prefect_governor.blocks.wire.replies.statuses import Outcome
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, Dialect

_counting = threading.Lock()


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be asked for: planned, priced, not admitted (`demand` has no id yet).

    `throttle_keys`: those of its limits that a 429 of the provider holds. `served_by`: whose own
    host it goes to, None where nobody knows. `cut_at`: its answer was cut before at so many tokens,
    to which it had been fitted.
    """

    desk: Desk
    dialect: Dialect
    plan: CallPlan
    price: Price
    demand: Demand
    throttle_keys: tuple[str, ...]
    queue_timeout_seconds: float | None
    pause_seconds: float
    scope: Scope | None
    key: ReplyKey | None
    served_by: str | None = None
    cut_at: int | None = None

    def in_full(self, cut_at: int) -> "Call":
        """The same call, for the whole of its bound or not at all."""
        return replace(self, demand=replace(self.demand, fitted=None), cut_at=cut_at)


class Departure:
    """When the last byte of an admitted call's request left. The request that is sent holds it, for
    as long as its connection does, so it holds nothing of the call's reply."""

    __slots__ = ("_admission", "_at", "_clock", "_desk", "delay_seconds")

    def __init__(self, desk: Desk, admission: Admission, clock: Callable[[], float]) -> None:
        self._desk, self._admission, self._clock = desk, admission, clock
        self._at, self.delay_seconds = clock(), 0.0

    def __call__(self) -> None:
        """It leaves now; called from whatever thread sends it."""
        # To connect, and to wait for the loop's turn, is no time of the provider's.
        self._at = self._clock()
        self.delay_seconds = self._desk.age_seconds(self._admission)

    def seconds(self) -> float:
        """How long ago that was."""
        return max(0.0, self._clock() - self._at)


class Reservation:
    """What the ledger holds for a call from its admission on. The first resolve counts.

    `plan` is what is sent under it: the call's own, or (`fit`) the one that the money was there
    for.
    """

    def __init__(self, call: Call, demand: Demand, admission: Admission) -> None:
        self.call = call
        self.demand = demand
        self.plan = call.plan
        self.fitted = admission.fitted
        self._admission = admission
        self._open = True
        self._lands = in_flight()
        self._stood = 0
        self._departure: Departure | None = None
        self._signals: Signals | None = None
        if call.scope is not None:
            with _counting:
                call.scope.spent.waited_seconds += admission.waited_seconds

    def fit(self) -> None:
        """Plan for what was admitted. Called before anything is sent."""
        fitted = self.demand.fitted
        if self.fitted and fitted is not None:
            self.plan = self.call.dialect.refit(self.call.plan, fitted.output_tokens)

    def sent(self, clock: Callable[[], float]) -> Departure:
        """It is sent now, by a monotonic clock. Call what is returned when it has left."""
        self._stood = standstill.watch()
        self._departure = Departure(self.call.desk, self._admission, clock)
        return self._departure

    def heard(self, response: httpx.Response, *, now: datetime) -> None:
        """The provider begins to answer now. How fast a caller reads on is none of its business."""
        seconds, delay = None, 0.0
        if self._departure is not None:
            delay = self._departure.delay_seconds
            if not standstill.since(self._stood):
                seconds = self._departure.seconds()
        readings = rate_readings(response.headers, now=now)
        self._signals = Signals(response.status_code, seconds, 0.0, readings, delay)

    def throttled(self, hold_seconds: float) -> None:
        """The answer is a 429 that asks to hold for so long."""
        if self._signals is not None:
            self._signals = replace(self._signals, hold_seconds=hold_seconds)

    def settle(self, billed: Billed, reply: Reply | None) -> "Future[None]":
        """The provider billed it; `reply` is kept with it."""
        # What cannot be computed leaves it open, for whoever catches that to resolve.
        usage = billed.usage(self.call.price, self.plan)
        self._open = False
        self._lands()
        facts = self._facts(billed)
        future = self.call.desk.settle(
            self.demand.call_id, usage, reply, facts=facts, signals=self._signals
        )
        if self.call.scope is not None:
            spent = self.call.scope.spent
            with _counting:
                spent.nano += usage.nano
                spent.input_tokens += usage.input_tokens
                spent.output_tokens += usage.output_tokens
                spent.calls += 1
        return future

    def _facts(self, billed: Billed) -> Facts | None:
        model, limit = self.call.demand.attribution.model, self.plan.output_limit
        if model is None:
            return None
        full = limit is not None and billed.parts.output_tokens >= limit
        return Facts(model, self.plan.local_input_tokens, limit, billed.cut or full)

    def resolve(self, outcome: Outcome, reason: str) -> "Future[None] | None":
        """Voids or unconfirms it. None where it is resolved already."""
        if not self._open:
            return None
        self._open = False
        self._lands()
        desk = self.call.desk
        resolve = desk.void if outcome == "void" else desk.unconfirm
        return resolve(self.demand.call_id, reason, signals=self._signals)

    def __del__(self) -> None:
        # A stream that was neither read to its end nor closed.
        if self._open:
            _DROPPED.put((self.call.desk, self.demand.call_id))


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
