"""The one decision that a call passes, and the state machine of its reservation. Pure.

A store loads the rows that a batch touches into a `Book`, applies the batch, and writes the rows
back in one transaction. Nothing here knows of storage, of a clock or of a thread.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.ledger.decision.allotting import NOTHING, Purses
from prefect_governor.blocks.ledger.decision.gate import Gate, Share, rate_wait, slot_wait
from prefect_governor.blocks.ledger.decision.purse import (
    Purse,
    PurseKey,
    Refused,
    ReservationState,
    Wait,
    exceeded_by,
    judge,
    low_on,
    money_is_low,
    purse_of,
)
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.limits import Signals

__all__ = [
    "Admitted",
    "Book",
    "Decision",
    "Gate",
    "Purse",
    "Refused",
    "Reservation",
    "ReservationState",
    "Share",
    "Wait",
    "money_is_low",
]

# What an observed call's reservation says of it, before the reason.
WOULD_WAIT = "would have waited: "
WOULD_BE_OVER = "would have been over budget: "
# Of one that enforcement would refuse before it asks for anything; then method, path, the reason.
NOT_MEASURED = "not measured: "


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may go."""


Decision = Admitted | Wait | Refused


@dataclass
class Reservation:
    """A call's claim on purses and gates, from its admission to its resolution.

    Attributes:
        purses: (account, label) pairs, leaf first.
        gates: (limit, counter of each meter) pairs.
        observed: None for a call that was held to its limits; for one that was only observed, what
            would have become of it, "" where nothing would have held it back.
    """

    call_id: str
    bound: Bound
    purses: tuple[PurseKey, ...]
    gates: tuple[tuple[str, tuple[int, ...]], ...]
    state: ReservationState = "reserved"
    reason: str | None = None
    usage: Usage | None = None
    observed: str | None = None


@dataclass
class Book:
    """The purses and gates that a batch touches, at one instant."""

    now: int
    purses: dict[PurseKey, Purse] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    money: Purses = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.money = Purses(self.purses)

    def decide(
        self,
        bound: Bound,
        purses: Iterable[Purse],
        gates: Iterable[Gate],
        own: Mapping[PurseKey, tuple[int, int]] = {},
        *,
        elastic: PurseKey | None = None,
        kept: Mapping[str, Share] = {},
    ) -> Decision:
        """Money up the whole chain, a slot and a rate under every limit: all, or wait.

        `own` is what is set aside for the caller in each purse; `elastic` the purse of an
        allocation that grows with what is free around it, so its own ceiling decides nothing;
        `kept` what is left, of what, to calls that have waited longer.
        """
        waits: list[Wait] = []
        for purse in purses:
            if purse.key == elastic:
                continue
            left = kept.get(f"purse:{purse.account}") if kept else None
            left_to = NOTHING if left is None else (left.nano, left.tokens)
            verdict = judge(purse, bound, own.get(purse.key, NOTHING), left_to)
            if isinstance(verdict, Refused):
                return verdict
            if verdict is not None:
                waits.append(verdict)
        for gate in gates:
            left = kept.get(f"gate:{gate.key}") if kept else None
            wait = slot_wait(gate, self.now, left.calls if left is not None else 0) or rate_wait(
                gate, bound, self.now, left
            )
            if wait is not None:
                waits.append(wait)
        if len(waits) > 1:
            return _together(waits)
        return waits[0] if waits else Admitted()

    def admit(
        self,
        demand: Demand,
        purses: Iterable[Purse],
        gates: Iterable[Gate],
        kept: Mapping[str, Share] = {},
    ) -> Decision | Reservation:
        """The decision for a demand; where it is admitted, its reservation, already charged.
        `kept` as in `decide`.

        A demand with a `fitted` bound is charged at that while money is low: where its full bound
        is more than 2% of what is free in a purse with a ceiling. An observed demand is admitted
        whatever is short.
        """
        purses, gates = tuple(purses), tuple(gates)
        keys = tuple(purse.key for purse in purses)
        held = self.money.open_among(keys)
        own = self.money.own(held)
        elastic = purse_of(held[0].key) if held and held[0].elastic else None
        bound = demand.bound
        if demand.fitted is not None and any(
            low_on(each, bound, own.get(each.key, NOTHING)) for each in purses
            if each.key != elastic
        ):  # fmt: skip
            bound = demand.fitted
        decision = self.decide(bound, purses, gates, own, elastic=elastic, kept=kept)
        observed = None
        if demand.observe:
            observed = _observed(decision)
            if demand.unmeasured is not None:
                observed = NOT_MEASURED + demand.unmeasured
        elif not isinstance(decision, Admitted):
            return decision
        if elastic is not None and isinstance(decision, Admitted):
            self.money.redraw(held[0], bound)
        self.money.change(keys, lambda purse: purse.reserve(bound))
        taken = tuple((gate.key, gate.take(bound, self.now)) for gate in gates)
        return Reservation(demand.call_id, bound, keys, taken, observed=observed)

    def settle(
        self, reservation: Reservation, usage: Usage, signals: Signals | None = None
    ) -> bool:
        """What the provider billed, in full, were it above the bound. False, and nothing changes,
        where it was resolved before."""
        if reservation.state not in ("reserved", "unconfirmed"):
            return False
        self._judge_observed(reservation)

        def spend(purse: Purse) -> None:
            purse.release(reservation.bound, reservation.state)
            purse.spent_nano += usage.nano
            purse.spent_tokens += usage.tokens

        self.money.change(reservation.purses, spend)
        self._leave(reservation, usage, signals)
        reservation.state, reservation.usage = "spent", usage
        return True

    def void(self, reservation: Reservation, reason: str, signals: Signals | None = None) -> bool:
        """Provably not billed. False, and nothing changes, where it was resolved before."""
        if reservation.state not in ("reserved", "unconfirmed"):
            return False
        self.money.change(
            reservation.purses, lambda purse: purse.release(reservation.bound, reservation.state)
        )
        self._leave(reservation, Usage(0, 0, 0), signals)
        reservation.state, reservation.reason = "released", reason
        return True

    def unconfirm(
        self, reservation: Reservation, reason: str, signals: Signals | None = None
    ) -> bool:
        """Nobody knows what was billed: charged at its bound until somebody does."""
        if reservation.state != "reserved":
            return False
        self._judge_observed(reservation)

        def keep(purse: Purse) -> None:
            purse.release(reservation.bound, "reserved")
            purse.unconfirmed_nano += reservation.bound.nano
            purse.unconfirmed_tokens += reservation.bound.tokens

        self.money.change(reservation.purses, keep)
        self._leave(reservation, None, signals)
        reservation.state, reservation.reason = "unconfirmed", reason
        return True

    def _leave(
        self, reservation: Reservation, usage: Usage | None, signals: Signals | None
    ) -> None:
        """Give the slots back, once, and correct the rates by what was really used."""
        for key, counters in reservation.gates:
            gate = self.gates.get(key)
            if gate is None:
                continue
            if reservation.state == "reserved":
                gate.leave(counters, reservation.bound, usage, signals, self.now)
            elif usage is not None:
                gate.correct(counters, reservation.bound, usage)

    def _judge_observed(self, reservation: Reservation) -> None:
        """Say of an observed call that it would have been over budget.

        By what is gone as it ends, not as it is admitted: held to its limits it would have waited
        for the reservations before it to resolve. What calls so judged have spent counts all the
        same, as it is gone.
        """
        if (
            reservation.observed is None
            or reservation.state != "reserved"
            or reservation.observed.startswith((WOULD_BE_OVER, NOT_MEASURED))
        ):
            return
        for key in reservation.purses:
            why = exceeded_by(self.purses[key], reservation.bound)
            if why is not None:
                reservation.observed = WOULD_BE_OVER + why
                return


def _together(waits: list[Wait]) -> Wait:
    """What a call waits for that lacks several things: the one that lasts longest, where an open
    end lasts longest; it names all that is short."""
    longest = waits[0]
    for wait in waits[1:]:
        if longest.until is not None and (wait.until is None or wait.until > longest.until):
            longest = wait
    return replace(longest, also=tuple(wait for wait in waits if wait is not longest))


def _observed(decision: Decision) -> str:
    if isinstance(decision, Wait):
        return WOULD_WAIT + decision.why
    return WOULD_BE_OVER + decision.why if isinstance(decision, Refused) else ""
