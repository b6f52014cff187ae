"""An admitted call, and that it is resolved once whatever becomes of it."""

import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from prefect_governor.blocks.context.governing import Desk
from prefect_governor.blocks.context.scope import Scope
from prefect_governor.blocks.context.stopwatch import in_flight
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.machine.endings import Block, Watch, forget, when_gone
from prefect_governor.blocks.machine.standstill import standstill
from prefect_governor.blocks.machine.stops import flight
from prefect_governor.blocks.machine.strands import current_strand
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.calls import Admission, Demand, Facts, Reply, ReplyKey
from prefect_governor.blocks.records.limits import Signals
from prefect_governor.blocks.wire.answers import price_answered
from prefect_governor.blocks.wire.replies.rate_headers import rate_readings
from prefect_governor.blocks.wire.replies.statuses import Outcome
from prefect_governor.blocks.wire.requests.fitting import output_within
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, Dialect

if TYPE_CHECKING:
    from prefect_governor.blocks.telemetry.call import CallWatch

_counting = threading.Lock()

NEVER_LEFT = "it was left before a byte of it was sent"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be asked for: planned, priced, not admitted (`demand` has no id yet).

    `throttle_keys`: those of its limits that a 429 of the provider holds. `served_by`: whose own
    host it goes to, None where nobody knows; `provider`: whose reply it gets, by LiteLLM's name.
    `cut_at`: its answer was cut before at so many tokens, to which it had been fitted. `whole`:
    what it was planned as, where it is asked for with less. `least_output_tokens`: the least that
    it may be asked for with while it yields. `credentials`: AWS's, where it is signed with them.
    `watch`: who is told what becomes of it.
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
    provider: str | None = None
    cut_at: int | None = None
    whole: CallPlan | None = None
    least_output_tokens: int = 1
    credentials: Any = field(default=None, repr=False)
    watch: "CallWatch | None" = field(default=None, repr=False, compare=False)

    def in_full(self, cut_at: int) -> "Call":
        """The same call, for the whole of its bound."""
        plan = self.whole or self.plan
        demand = replace(self.demand, bound=plan.bound(self.price), fitted=None)
        return replace(self, plan=plan, demand=demand, cut_at=cut_at, whole=None)

    def instead(self, refusal: OverBudget) -> "Call | None":
        """What is asked for in place of this, which was over budget: with what is left of the
        money, where the caller set no limit to the output. None where nothing is."""
        if not self.demand.yields:
            return None
        least = max(self.least_output_tokens, (self.cut_at or 0) + 1)
        most = self.plan.output_tokens - 1
        output = output_within(
            self.plan, self.price, refusal, least=least, most=most, again=self.cut_at is not None
        )
        if output is not None:
            plan = self.dialect.refit(self.plan, output)
            demand = replace(self.demand, bound=plan.bound(self.price), fitted=None)
            return replace(self, plan=plan, demand=demand, whole=self.whole or self.plan)
        if not self.pause_seconds:
            return None
        whole = self.in_full(self.cut_at or 0)
        return replace(whole, demand=replace(whole.demand, yields=False), cut_at=self.cut_at)


class Departure:
    """When the last byte of an admitted call's request left. The request that is sent holds it, for
    as long as its connection does, so it holds nothing of the call's reply.

    `begun`: some may have left; from the start where the transport does not tell.
    """

    __slots__ = ("_admission", "_at", "_clock", "_desk", "begun", "delay_seconds")

    def __init__(
        self, desk: Desk, admission: Admission, clock: Callable[[], float], *, told: bool
    ) -> None:
        self._desk, self._admission, self._clock = desk, admission, clock
        self._at, self.delay_seconds = clock(), 0.0
        self.begun = not told

    def begins(self) -> None:
        """The first byte of its body may leave from now on."""
        self.begun = True

    def __call__(self) -> None:
        """It leaves now; called from whatever thread sends it."""
        self.begun = True
        # To connect, and to wait for the loop's turn, is no time of the provider's.
        self._at = self._clock()
        self.delay_seconds = self._desk.age_seconds(self._admission)

    def seconds(self) -> float:
        """How long ago that was."""
        return max(0.0, self._clock() - self._at)


class Reservation(Block):
    """What the ledger holds for a call, or is asked for. The first resolve counts.

    It is there before anything is asked for, so that whatever interrupts the code that it is
    entered around finds what to give back: what was not sent is void, the rest unconfirmed.

    `plan` is what is sent under it: the call's own, or (`fit`) the one that the money was there
    for.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        call_id = uuid.uuid4().hex
        request_id = call.demand.request_id or call_id
        self.demand = replace(call.demand, call_id=call_id, request_id=request_id)
        self.plan = call.plan
        self.fitted = False
        self._admission: Admission | None = None
        self._open = False
        self._landings: tuple[Callable[[], None], ...] = ()
        self._stood = 0
        self._departure: Departure | None = None
        self._signals: Signals | None = None
        self._handed: Watch | None = None

    def __enter__(self) -> "Reservation":
        return self

    def ask(self, queue_timeout_seconds: float | None) -> "Future[Admission]":
        """Queue for its admission. Raises through the future what `Desk.admit` does."""
        self._open = True
        if (watch := self.call.watch) is not None:
            watch.asks(self.demand.limits)
        return self.call.desk.admit(
            self.demand,
            queue_timeout_seconds=queue_timeout_seconds,
            pause_seconds=0.0 if self.demand.yields else self.call.pause_seconds,
            strand=current_strand(),
        )

    def refused(self) -> None:
        """It was not admitted: there is nothing to resolve."""
        self._open = False
        if (watch := self.call.watch) is not None:
            watch.asked()

    def admitted(self, admission: Admission) -> None:
        """It was."""
        if (watch := self.call.watch) is not None:
            watch.asked()
        self._admission = admission
        self.fitted = admission.fitted or self.call.whole is not None
        self._landings = in_flight(), flight()
        scope = self.call.scope
        if scope is not None:
            with _counting:
                scope.spent.waited_seconds += admission.waited_seconds

    @property
    def stale(self) -> bool:
        """Whether it was admitted too long ago to be sent now."""
        return self._admission is not None and self.call.desk.is_stale(self._admission)

    @property
    def never_left(self) -> bool:
        """Whether it is known that nothing of it was sent."""
        return self._departure is None or not self._departure.begun

    def end(self) -> None:
        """The code that it is entered around is over, and left it to itself."""
        if not self._open or self._handed is not None:
            return
        if self._departure is None:
            self.call.desk.abandon(self.demand.call_id)
            self._over()
        elif self.never_left:
            self.resolve("void", NEVER_LEFT)
        else:
            self.resolve("unconfirm", "it was interrupted")

    def hand_to(self, stream: object) -> None:
        """From now on it is for who reads this stream to resolve it; once nobody has the stream any
        more, it is unconfirmed."""
        self._handed = when_gone(stream, self._dropped)

    def _dropped(self) -> None:
        self.resolve("unconfirm", "the reply was dropped before its end")

    def _over(self) -> None:
        self._open = False
        landings, self._landings = self._landings, ()
        for lands in landings:
            lands()
        if self._handed is not None:
            forget(self._handed)

    def fit(self) -> None:
        """Plan for what was admitted. Called before anything is sent."""
        fitted = self.demand.fitted
        if self._admission is not None and self._admission.fitted and fitted is not None:
            self.plan = self.call.dialect.refit(self.call.plan, fitted.output_tokens)

    def sent(self, clock: Callable[[], float], *, told: bool) -> Departure:
        """It is sent now, by a monotonic clock. Tell what is returned when it begins to leave, if
        it is `told`, and call it when it has left."""
        self._stood = standstill.watch()
        assert self._admission is not None
        self._departure = departure = Departure(self.call.desk, self._admission, clock, told=told)
        return departure

    def heard(self, response: httpx.Response, *, now: datetime) -> None:
        """The provider begins to answer now. How fast a caller reads on is none of its business."""
        seconds, delay = None, 0.0
        if self._departure is not None:
            delay = self._departure.delay_seconds
            if not standstill.since(self._stood):
                seconds = self._departure.seconds()
        readings = rate_readings(dict(response.headers.items()), now=now)
        self._signals = Signals(response.status_code, seconds, 0.0, readings, delay)

    def throttled(self, hold_seconds: float) -> None:
        """The answer is a 429 that asks to hold for so long."""
        if (watch := self.call.watch) is not None:
            watch.throttled(hold_seconds)
        if self._signals is not None:
            self._signals = replace(self._signals, hold_seconds=hold_seconds)

    def settle(self, billed: Billed, reply: Reply | None) -> "Future[None]":
        """The provider billed it; `reply` is kept with it."""
        # What cannot be computed leaves it open, for whoever catches that to resolve.
        called = self.call.demand.attribution.model
        price = price_answered(self.call.price, called, billed.model)
        usage = billed.usage(price, self.plan, provider=self.call.provider)
        facts = self._facts(billed)
        future = self.call.desk.settle(
            self.demand.call_id, usage, reply, facts=facts, signals=self._signals
        )
        self._over()
        if (watch := self.call.watch) is not None:
            watch.settles(
                future,
                nano=usage.nano,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                model=billed.model,
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
        desk = self.call.desk
        resolve = desk.void if outcome == "void" else desk.unconfirm
        # Told to the ledger first: twice is once there, and never is for ever.
        future = resolve(self.demand.call_id, reason, signals=self._signals)
        self._over()
        if (watch := self.call.watch) is not None:
            watch.resolves(future, outcome)
        return future


def _after_fork() -> None:
    global _counting
    _counting = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
