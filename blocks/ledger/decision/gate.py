"""A limit: how many calls are in flight, how many may be, and its rates. Pure."""

from dataclasses import dataclass, field, replace

from prefect_governor.blocks.ledger.decision.purse import Wait
from prefect_governor.blocks.limits.rates import RateMeter, amount_of
from prefect_governor.blocks.limits.upstream import Upstream
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import Rate, Signals


@dataclass
class Share:
    """What is left to calls that have waited longer: so many of them, and their bounds together."""

    calls: int = 0
    nano: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, bound: Bound, calls: int = 1) -> None:
        self.calls += calls
        self.nano += bound.nano
        self.input_tokens += bound.input_tokens
        self.output_tokens += bound.output_tokens

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def plus(self, other: "Share") -> "Share":
        """Both together."""
        return Share(
            self.calls + other.calls,
            self.nano + other.nano,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def beside(self, bound: Bound) -> Bound:
        """A bound and all that is left to others, together."""
        return Bound(
            bound.nano + self.nano,
            bound.input_tokens + self.input_tokens,
            bound.output_tokens + self.output_tokens,
        )

    def of(self, rate: Rate) -> int:
        """What it counts under a rate of tokens."""
        if rate.meter == "tokens":
            return self.tokens
        return self.input_tokens if rate.meter == "input_tokens" else self.output_tokens


@dataclass
class Gate:
    """A limit: how many are in flight, how many may be, and its rates: what others call a semaphore
    and its rate limiters in one.

    Attributes:
        max_concurrent: what the Governor says, None for no such limit.
        server_limit: what Prefect's global concurrency limit says, None where there is none.
        leased: slots leased from that limit and safe to use now, None where none are needed.
        hold_until: nobody is admitted before this instant (a provider's Retry-After).
        upstream: what was learned of a provider's own limit; None for one that people configured.
    """

    key: str
    name: str
    max_concurrent: int | None = None
    server_limit: int | None = None
    leased: int | None = None
    in_flight: int = 0
    max_in_flight: int = 0
    throttled: int = 0
    hold_until: int = 0
    meters: list[RateMeter] = field(default_factory=list)
    upstream: Upstream | None = None

    @property
    def cap(self) -> int | None:
        """The most that may be in flight now, by what people configured and by what was learned;
        None for no such limit."""
        learned = None if self.upstream is None else self.upstream.cap.cap
        caps = (self.max_concurrent, self.server_limit, learned)
        return min((cap for cap in caps if cap is not None), default=None)

    def take(self, bound: Bound, now: int) -> tuple[int, ...]:
        """Take a slot and a share of every rate. Returns the counter of each meter, and last, of a
        provider's own limit, what `leave` is told."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        counters = tuple(meter.take(amount_of(meter.rate, bound), now) for meter in self.meters)
        if self.upstream is None:
            return counters
        return (*counters, self.upstream.take(bound, now, self.in_flight))

    def leave(
        self,
        counters: tuple[int, ...],
        bound: Bound,
        usage: Usage | None,
        signals: Signals | None,
        now: int,
    ) -> None:
        """Give a slot back; the provider's own limit is told how the call ended."""
        if usage is not None:
            self.correct(counters, bound, usage)
        if signals is not None and signals.delay_seconds:
            for meter, counter in self._metered(counters):
                amount = amount_of(meter.rate, bound if usage is None else usage)
                meter.delay(counter, amount, signals.delay_seconds)
        if self.upstream is not None and len(counters) > len(self.meters):
            self.upstream.ended(counters[-1], bound, usage, signals, now, self.in_flight)
        self.in_flight -= 1
        assert self.in_flight >= 0, self

    def correct(self, counters: tuple[int, ...], bound: Bound, usage: Usage) -> None:
        """Change what a call took under the rates to what it used; requests stay counted."""
        for meter, counter in self._metered(counters):
            if meter.rate.meter != "requests":
                change = amount_of(meter.rate, usage) - amount_of(meter.rate, bound)
                meter.correct(counter, change)

    def _metered(self, counters: tuple[int, ...]) -> list[tuple[RateMeter, int]]:
        """Each meter with the counter of a call."""
        # A limit edited meanwhile has other meters: what was taken under the old ones expires.
        counters = counters if self.upstream is None else counters[:-1]
        if len(counters) != len(self.meters):
            return []
        return list(zip(self.meters, counters, strict=True))


def slot_wait(gate: Gate, now: int, kept: int = 0) -> Wait | None:
    """Why no slot can be taken now, None where one can. `kept` slots are left to calls that have
    waited longer."""
    resource = f"gate:{gate.key}"
    if now < gate.hold_until:
        seconds = (gate.hold_until - now) / 1e9
        why = f"the provider throttles {gate.name!r}: held for {seconds:.1f} s"
        return Wait(resource, "throttled", why, gate.hold_until, full=True)
    cap = gate.cap
    left_to = f", {kept} kept for calls that have waited longer" if kept else ""
    if cap is not None and gate.in_flight + kept >= cap:
        why = f"{gate.in_flight} of {cap} slots of limit {gate.name!r} are taken{left_to}"
        bottleneck = "max_concurrent"
        if gate.server_limit == 0:
            bottleneck = "prefect_limit"
            why = (
                f"Prefect's limit for {gate.name!r} lets nobody in: it is 0, or reserve_for_others"
                " keeps all of it"
            )
        if gate.upstream is not None:
            learned = gate.upstream.cap
            bottleneck = "adaptive"
            why = (
                f"{gate.in_flight} of {cap} slots of {gate.name!r} are taken: what the provider was"
                f" found to serve at once (cut for {learned.cause}, {learned.proven} proven)"
                f"{left_to}"
            )
        return Wait(resource, bottleneck, why, full=True)
    if gate.leased is not None and gate.in_flight + kept >= gate.leased:
        taken = "all" if gate.in_flight >= gate.leased else f"{gate.in_flight} of the"
        why = (
            f"{taken} {gate.leased} slots leased from Prefect's limit for {gate.name!r} are"
            f" taken{left_to}"
            if gate.leased
            else f"no slot is leased from Prefect's limit for {gate.name!r}: it is missing or full"
            " of others', or its server does not answer; the log says which"
        )
        return Wait(resource, "prefect_limit", why, full=True)
    return None


def rate_wait(gate: Gate, bound: Bound, now: int, kept: Share | None = None) -> Wait | None:
    """Why a bound does not fit into the rates now, None where it does. `kept` is left to calls that
    have waited longer."""
    longest: Wait | None = None
    resource = f"gate:{gate.key}"
    # One request is as large as another: where one does not fit, none does.
    requests = False
    for meter in gate.meters:
        amount = amount_of(meter.rate, bound)
        if kept is not None:
            amount += kept.calls if meter.rate.meter == "requests" else kept.of(meter.rate)
        until = meter.wait_until(amount, now)
        if until is None:
            continue
        requests = requests or meter.rate.meter == "requests"
        if longest is None or until > (longest.until or 0):
            why = f"{meter.rate.name} of limit {gate.name!r} is used up: {meter.rate.amount:,}"
            longest = Wait(resource, meter.rate.name, why, until)
    if gate.upstream is not None:
        asked = bound if kept is None else kept.beside(bound)
        learned = gate.upstream.rates.wait(asked, now)
        if learned is not None:
            rate, until = learned
            requests = requests or rate.meter == "requests"
            if longest is None or until > (longest.until or 0):
                why = f"{rate.name} learned of {gate.name!r} is used up: {rate.amount:,}"
                longest = Wait(resource, f"learned {rate.name}", why, until)
    return replace(longest, full=True) if longest is not None and requests else longest


def free_slots(gate: Gate) -> int | None:
    """How many slots may be taken now; None where there is no such limit."""
    most = [each for each in (gate.cap, gate.leased) if each is not None]
    return max(0, min(most) - gate.in_flight) if most else None
