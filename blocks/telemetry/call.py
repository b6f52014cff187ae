"""One call as OpenTelemetry is told of it: a span with its waits and settles inside, and figures.

Nothing that was asked or answered is told, nor any error's text but that of a refusal for money or
time, which is the governor's own.
"""

import functools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any, TypeVar

from opentelemetry import context as contexts
from opentelemetry.metrics import Counter as Counting
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from prefect_governor.blocks.errors import GovernorError, OverBudget, QueueTimeout
from prefect_governor.blocks.money.usd import NANO
from prefect_governor.blocks.telemetry import names

logger = logging.getLogger("prefect_governor.telemetry")

T = TypeVar("T")
Told = TypeVar("Told", bound=Callable[..., None])

# What people's own models may be called is not bounded; what a metric is kept by is.
MOST_MODELS = 200
OTHER = "other"
_SAID = (OverBudget, QueueTimeout)

Value = str | int | float | bool


def _never_fails(tell: Told) -> Told:
    """What processors, samplers and views of others raise is no reason that a call fails: it was
    paid for. Their text is not said, as it may quote what they were told."""

    @functools.wraps(tell)
    def told(*given: Any, **named: Any) -> None:
        try:
            tell(*given, **named)
        except Exception as error:
            _say_once(type(error).__name__)

    return told  # type: ignore[return-value]


@functools.lru_cache(maxsize=16)
def _say_once(kind: str) -> None:
    logger.warning("OpenTelemetry was not told of a call: its %s was raised", kind)


@dataclass
class Instruments:
    """What calls are counted by, and how many wait here by the key of each limit."""

    tracer: Tracer
    duration: Histogram
    tokens: Histogram
    wait: Histogram
    cost: Counting
    throttles: Counting
    refusals: Counting
    waiting: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _models: set[str] = field(default_factory=set)

    def waits(self, limits: tuple[str, ...], change: int) -> None:
        with self.lock:
            for key in limits:
                self.waiting[key] += change
                if not self.waiting[key]:
                    del self.waiting[key]

    def still_waiting(self) -> Counter[str]:
        with self.lock:
            return Counter(self.waiting)

    def model(self, name: str) -> str:
        """A model as metrics name it."""
        with self.lock:
            if name not in self._models and len(self._models) >= MOST_MODELS:
                return OTHER
            self._models.add(name)
            return name


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a call once it is planned. `model` is the provider's own name of it."""

    governor: str
    provider: str | None
    model: str
    max_tokens: int
    bound_nano: int
    streamed: bool


class CallWatch:
    """Told by a call's exchange what becomes of it.

    The span begins when the call is planned, or refused before that; one that is answered from what
    was kept, or only looked for there, has none. It is the current span while the call is made.
    """

    def __init__(
        self,
        instruments: Instruments,
        *,
        host: str,
        port: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to = instruments
        self._clock = clock
        self._began, self._began_wall = clock(), time.time_ns()
        self._about: dict[str, Value] = {
            names.OPERATION: names.UNKNOWN,
            names.PROVIDER: names.UNKNOWN,
            names.ADDRESS: host,
            names.PORT: port,
        }
        self._governor = names.UNKNOWN
        self._span: Span | None = None
        self._current: Token[contexts.Context] | None = None
        self._wait: tuple[Span, float, tuple[str, ...]] | None = None
        self._waited = 0.0
        self._cost_nano = 0
        self._throttled = 0
        self._outcome = ""
        self._error: str | None = None
        self._streams = False
        self._ended = False

    async def over(self, steps: Coroutine[Any, Any, T]) -> T:
        """The exchange, with its end told."""
        try:
            answer = await steps
        except BaseException as error:
            self._failed(error)
            raise
        else:
            self._answered(answer)
            return answer
        finally:
            if self._current is not None:
                contexts.detach(self._current)

    def opens(self, operation: str) -> None:
        """It is of this kind, such as "chat"."""
        self._about[names.OPERATION] = operation

    def drop(self) -> None:
        """It is not made, and nothing is told of it."""
        self._ended = True

    @_never_fails
    def planned(self, asked: Asked) -> None:
        """It will be asked for."""
        self._governor = asked.governor
        self._about[names.PROVIDER] = names.provider_named(asked.provider)
        self._about[names.REQUEST_MODEL] = asked.model
        span = self._begin(f"{self._about[names.OPERATION]} {asked.model}".rstrip())
        span.set_attributes(
            {
                names.GOVERNOR: asked.governor,
                names.MAX_TOKENS: asked.max_tokens,
                names.BOUND_USD: asked.bound_nano / NANO,
                names.STREAMED: asked.streamed,
            }
        )
        self._current = contexts.attach(set_span_in_context(span))

    @_never_fails
    def asks(self, limits: tuple[str, ...]) -> None:
        """It stands in the queue under these limits, by their keys."""
        self._wait = self._child(names.WAIT_SPAN), self._clock(), limits
        self._to.waits(limits, 1)

    @_never_fails
    def asked(self) -> None:
        """It stands there no more: admitted, refused or given up."""
        if self._wait is None:
            return
        (span, since, limits), self._wait = self._wait, None
        self._to.waits(limits, -1)
        waited = max(0.0, self._clock() - since)
        self._waited += waited
        span.set_attribute(names.WAITED_SECONDS, waited)
        span.end()

    @_never_fails
    def throttled(self, hold_seconds: float) -> None:
        """The provider answered 429; everybody under its limits holds for so long."""
        self._throttled += 1
        if self._span is not None:
            self._span.add_event(names.THROTTLED_EVENT, {names.HOLD_SECONDS: hold_seconds})
        self._to.throttles.add(1, self._by())

    @_never_fails
    def settles(
        self,
        committed: "Future[None]",
        *,
        nano: int,
        input_tokens: int,
        output_tokens: int,
        model: str | None,
    ) -> None:
        """It was billed so much, by the model of that name; the future tells when that is kept."""
        self._outcome = "spent"
        self._cost_nano += nano
        if model is not None:
            self._about[names.RESPONSE_MODEL] = model
        by = self._by()
        self._to.cost.add(nano / NANO, by)
        about = {**self._convention(), names.TOKEN_TYPE: "input"}
        self._to.tokens.record(input_tokens, about)
        self._to.tokens.record(output_tokens, {**about, names.TOKEN_TYPE: "output"})
        if self._span is not None:
            self._span.set_attributes(
                {names.INPUT_TOKENS: input_tokens, names.OUTPUT_TOKENS: output_tokens}
            )
        self._resolving(committed, "spent")

    @_never_fails
    def resolves(self, committed: "Future[None]", outcome: str) -> None:
        """It was not billed, or nobody knows: "void" or "unconfirm"."""
        self._outcome = "released" if outcome == "void" else "unconfirmed"
        self._resolving(committed, self._outcome)

    def streams(self) -> None:
        """Its answer is handed out as a stream: it ends when that is resolved."""
        self._streams = True

    def _resolving(self, committed: "Future[None]", outcome: str) -> None:
        span = self._child(names.SETTLE_SPAN)
        span.set_attribute(names.OUTCOME, outcome)

        @_never_fails
        def kept(future: "Future[None]") -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            span.end()
            if self._streams:
                self._end()

        committed.add_done_callback(kept)

    @_never_fails
    def _answered(self, answer: object) -> None:
        status = getattr(answer, "status_code", None)
        if self._span is None:
            return
        if isinstance(status, int):
            self._span.set_attribute(names.STATUS, status)
            if status >= 400:
                self._error = str(status)
                self._span.set_status(Status(StatusCode.ERROR, f"HTTP {status}"))
        if not self._streams:
            self._end()

    @_never_fails
    def _failed(self, error: BaseException) -> None:
        self.asked()
        refused = isinstance(error, GovernorError)
        # What is free is no call that is told of.
        if self._ended or (self._span is None and not refused):
            return
        self._error = kind = type(error).__name__
        span = self._span or self._begin(str(self._about[names.OPERATION]))
        if refused and self._outcome in ("", "released"):
            self._outcome = "refused"
            self._to.refusals.add(1, {**self._by(), names.ERROR: kind})
        said = f"{kind}: {error}" if isinstance(error, _SAID) else kind
        span.set_status(Status(StatusCode.ERROR, said))
        self._end()

    def _begin(self, name: str) -> Span:
        self._span = self._to.tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=self._about, start_time=self._began_wall
        )
        return self._span

    def _child(self, name: str) -> Span:
        within = None if self._span is None else set_span_in_context(self._span)
        return self._to.tracer.start_span(name, within)

    def _end(self) -> None:
        with self._to.lock:
            if self._ended:
                return
            self._ended = True
        took = max(0.0, self._clock() - self._began - self._waited)
        more = {} if self._error is None else {names.ERROR: self._error}
        self._to.duration.record(took, {**self._convention(), **more})
        self._to.wait.record(self._waited, self._by())
        if self._span is None:
            return
        self._span.set_attributes(
            {
                **self._about,
                **more,
                names.OUTCOME: self._outcome or names.UNKNOWN,
                names.COST_USD: self._cost_nano / NANO,
                names.WAITED_SECONDS: self._waited,
                names.THROTTLED: self._throttled,
            }
        )
        self._span.end()

    def _by(self) -> dict[str, Value]:
        """What our own metrics are kept by."""
        model = str(self._about.get(names.REQUEST_MODEL, names.UNKNOWN))
        return {names.GOVERNOR: self._governor, names.REQUEST_MODEL: self._to.model(model)}

    def _convention(self) -> dict[str, Value]:
        """What the conventions want a metric to be kept by."""
        by = dict(self._about)
        for name in (names.REQUEST_MODEL, names.RESPONSE_MODEL):
            if name in by:
                by[name] = self._to.model(str(by[name]))
        return by
