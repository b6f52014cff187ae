"""The one decision that a call passes, and the state machine of its reservation. Pure.

A store loads the rows that a batch touches into a `Book`, applies the batch, and writes the rows
back in one transaction. Nothing here knows of storage, of a clock or of a thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from prefect_governor.blocks.budget.money import show_usd
from prefect_governor.blocks.ledger.records import Bound, Demand, Rate, Usage
from prefect_governor.blocks.limits.rates import RateMeter

ReservationState = Literal["reserved", "spent", "released", "unconfirmed"]


@dataclass
class Purse:
    """A budget in one window."""

    account: str
    label: str
    name: str
    ceiling_nano: int | None = None
    ceiling_tokens: int | None = None
    spent_nano: int = 0
    unconfirmed_nano: int = 0
    reserved_nano: int = 0
    spent_tokens: int = 0
    unconfirmed_tokens: int = 0
    reserved_tokens: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return (self.account, self.label)

    def reserve(self, bound: Bound) -> None:
        self.reserved_nano += bound.nano
        self.reserved_tokens += bound.tokens

    def release(self, bound: Bound, state: ReservationState) -> None:
        """Take a bound out of where `state` keeps it."""
        if state == "reserved":
            self.reserved_nano -= bound.nano
            self.reserved_tokens -= bound.tokens
        else:
            self.unconfirmed_nano -= bound.nano
            self.unconfirmed_tokens -= bound.tokens
        assert min(self.reserved_nano, self.reserved_tokens) >= 0, self
        assert min(self.unconfirmed_nano, self.unconfirmed_tokens) >= 0, self


@dataclass
class Gate:
    """A limit: how many are in flight, how many may be, and its rates.

    Attributes:
        max_concurrent: what the Governor says, None for no such limit.
        server_limit: what Prefect's global concurrency limit says, None where there is none.
        leased: slots leased from that limit and safe to use now, None where none are needed.
        hold_until: nobody is admitted before this instant (a provider's Retry-After).
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

    @property
    def cap(self) -> int | None:
        """The most that may be in flight by what people configured, None for no such limit."""
        caps = [each for each in (self.max_concurrent, self.server_limit) if each is not None]
        return min(caps) if caps else None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may go."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The call waits, holding nothing.

    Attributes:
        resource: what is short; calls behind it that need the same wait too.
        bottleneck: the same in the report's words, such as "requests_per_minute".
        why: one line for people, with the numbers.
        until: the first instant at which asking again can help, None for "when something ends".
    """

    resource: str
    bottleneck: str
    why: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Whatever ends, this call cannot be paid for."""

    why: str


Decision = Admitted | Wait | Refused


@dataclass
class Reservation:
    """A call's claim on purses and gates, from its admission to its resolution.

    `purses` are (account, label) pairs; `gates` are (limit, counter of each meter).
    """

    call_id: str
    bound: Bound
    purses: tuple[tuple[str, str], ...]
    gates: tuple[tuple[str, tuple[int, ...]], ...]
    state: ReservationState = "reserved"
    reason: str | None = None
    usage: Usage | None = None


@dataclass
class Book:
    """The purses and gates that a batch touches, at one instant."""

    now: int
    purses: dict[tuple[str, str], Purse] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    def decide(self, bound: Bound, purses: Iterable[Purse], gates: Iterable[Gate]) -> Decision:
        """Money up the whole chain, a slot and a rate under every limit: all, or wait."""
        waits: list[Wait] = []
        for purse in purses:
            verdict = _money(purse, bound)
            if isinstance(verdict, Refused):
                return verdict
            if verdict is not None:
                waits.append(verdict)
        for gate in gates:
            verdict = _slot(gate, self.now) or _rate(gate, bound, self.now)
            if verdict is not None:
                waits.append(verdict)
        # The one that lasts longest is what the call waits for; an open end lasts longest.
        return max(waits, key=_lasts, default=Admitted())

    def admit(
        self, demand: Demand, purses: Iterable[Purse], gates: Iterable[Gate]
    ) -> Decision | Reservation:
        """The decision for a demand; where it is admitted, its reservation, already charged."""
        purses, gates = tuple(purses), tuple(gates)
        decision = self.decide(demand.bound, purses, gates)
        if not isinstance(decision, Admitted):
            return decision
        for purse in purses:
            purse.reserve(demand.bound)
        taken = []
        for gate in gates:
            gate.in_flight += 1
            gate.max_in_flight = max(gate.max_in_flight, gate.in_flight)
            counters = (m.take(_amount(m.rate, demand.bound), self.now) for m in gate.meters)
            taken.append((gate.key, tuple(counters)))
        return Reservation(
            demand.call_id, demand.bound, tuple(purse.key for purse in purses), tuple(taken)
        )

    def settle(self, reservation: Reservation, usage: Usage) -> bool:
        """What the provider billed. False, and nothing changes, where it was resolved before."""
        if reservation.state not in ("reserved", "unconfirmed"):
            return False
        for key in reservation.purses:
            purse = self.purses[key]
            purse.release(reservation.bound, reservation.state)
            purse.spent_nano += usage.nano
            purse.spent_tokens += usage.tokens
        self._leave(reservation, usage)
        reservation.state, reservation.usage = "spent", usage
        return True

    def void(self, reservation: Reservation, reason: str) -> bool:
        """Provably not billed. False, and nothing changes, where it was resolved before."""
        if reservation.state not in ("reserved", "unconfirmed"):
            return False
        for key in reservation.purses:
            self.purses[key].release(reservation.bound, reservation.state)
        self._leave(reservation, Usage(0, 0, 0))
        reservation.state, reservation.reason = "released", reason
        return True

    def unconfirm(self, reservation: Reservation, reason: str) -> bool:
        """Nobody knows what was billed: charged at its bound until somebody does."""
        if reservation.state != "reserved":
            return False
        for key in reservation.purses:
            purse = self.purses[key]
            purse.release(reservation.bound, "reserved")
            purse.unconfirmed_nano += reservation.bound.nano
            purse.unconfirmed_tokens += reservation.bound.tokens
        self._leave(reservation, None)
        reservation.state, reservation.reason = "unconfirmed", reason
        return True

    def _leave(self, reservation: Reservation, usage: Usage | None) -> None:
        """Give the slots back, once, and correct the rates by what was really used."""
        for key, counters in reservation.gates:
            gate = self.gates.get(key)
            if gate is None:
                continue
            if reservation.state == "reserved":
                gate.in_flight -= 1
                assert gate.in_flight >= 0, gate
            # A limit edited meanwhile has other meters: what was taken under the old ones expires.
            if usage is None or len(counters) != len(gate.meters):
                continue
            for meter, counter in zip(gate.meters, counters, strict=True):
                if meter.rate.meter != "requests":
                    change = _amount(meter.rate, usage) - _amount(meter.rate, reservation.bound)
                    meter.correct(counter, change)


def _lasts(wait: Wait) -> float:
    return float("inf") if wait.until is None else float(wait.until)


def _money(purse: Purse, bound: Bound) -> Wait | Refused | None:
    """P4: over budget only when what is gone and this bound exceed the ceiling."""
    parts = (
        (purse.ceiling_nano, purse.spent_nano + purse.unconfirmed_nano, purse.reserved_nano,
         bound.nano, show_usd, "usd"),
        (purse.ceiling_tokens, purse.spent_tokens + purse.unconfirmed_tokens,
         purse.reserved_tokens, bound.tokens, lambda n: f"{n:,} tokens", "total_tokens"),
    )  # fmt: skip
    for ceiling, gone, reserved, need, show, unit in parts:
        if ceiling is None:
            continue
        if gone + need > ceiling:
            return Refused(
                f"needs {show(need)}, {show(max(0, ceiling - gone))} of the {show(ceiling)} ceiling"
                f" of budget {purse.name!r} is left (window {purse.label}); raise the ceiling to"
                " go on"
            )
        if gone + reserved + need > ceiling:
            return Wait(
                f"purse:{purse.account}",
                f"budget_{unit}",
                f"needs {show(need)}, {show(reserved)} of the {show(ceiling)} ceiling of budget"
                f" {purse.name!r} is held by reservations",
            )
    return None


def _slot(gate: Gate, now: int) -> Wait | None:
    if now < gate.hold_until:
        seconds = (gate.hold_until - now) / 1e9
        return Wait(
            f"gate:{gate.key}",
            "throttled",
            f"the provider throttles {gate.name!r}: held for {seconds:.1f} s",
            gate.hold_until,
        )
    if gate.cap is not None and gate.in_flight >= gate.cap:
        return Wait(
            f"gate:{gate.key}",
            "max_concurrent",
            f"{gate.in_flight} of {gate.cap} slots of limit {gate.name!r} are taken",
        )
    if gate.leased is not None and gate.in_flight >= gate.leased:
        return Wait(
            f"gate:{gate.key}",
            "prefect_limit",
            f"all {gate.leased} slots leased from Prefect's limit for {gate.name!r} are taken",
        )
    return None


def _rate(gate: Gate, bound: Bound, now: int) -> Wait | None:
    waits = []
    for meter in gate.meters:
        until = meter.wait_until(_amount(meter.rate, bound), now)
        if until is not None:
            why = f"{meter.rate.name} of limit {gate.name!r} is used up: {meter.rate.amount:,}"
            waits.append(Wait(f"gate:{gate.key}", meter.rate.name, why, until))
    return max(waits, key=_lasts, default=None)


def _amount(rate: Rate, figures: Bound | Usage) -> int:
    if rate.meter == "requests":
        return 1
    if rate.meter == "tokens":
        return figures.tokens
    return figures.input_tokens if rate.meter == "input_tokens" else figures.output_tokens
