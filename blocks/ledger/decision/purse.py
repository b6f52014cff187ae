"""A budget in one window, and what may be taken of it. Pure."""

from dataclasses import dataclass
from typing import Literal

from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.blocks.records.drawn import Drawing, Drawn

ReservationState = Literal["reserved", "spent", "released", "unconfirmed"]
PurseKey = tuple[str, str]

# The keys of allocations begin so, and of nothing else: whoever sees one knows what it is.
ALLOCATION_PREFIX = "alloc/"
# The one window of an allocation's purse.
WHOLE = "total"
# A bound above this share of the money that is free, one in fifty, is a large one.
_SMALL_PARTS = 50


def is_allocation(account: str) -> bool:
    """Whether an account's key is an allocation's."""
    return account.startswith(ALLOCATION_PREFIX)


def purse_of(allocation: str) -> PurseKey:
    """The key of an allocation's purse."""
    return (allocation, WHOLE)


@dataclass
class Purse:
    """A budget in one window: an account's balance, with what is held of it.

    `allocated_*` is what is set aside in it: the sum of the rests of the open allocations whose
    `within` names it. spent + unconfirmed + reserved + allocated never exceeds the ceiling by an
    admission or an allocation; a bill above its bound or a lowered ceiling may leave it exceeded.

    `drawing` is what of the ceiling this ledger may use, where it has to draw it first; None where
    that is all of it.
    """

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
    allocated_nano: int = 0
    allocated_tokens: int = 0
    drawing: Drawing | None = None

    @property
    def key(self) -> PurseKey:
        return (self.account, self.label)

    @property
    def gone_nano(self) -> int:
        return self.spent_nano + self.unconfirmed_nano

    @property
    def gone_tokens(self) -> int:
        return self.spent_tokens + self.unconfirmed_tokens

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

    def room(self) -> tuple[int | None, int | None]:
        """What is neither gone, reserved nor set aside, in nano-dollars and tokens; None where
        there is no ceiling, negative where it is exceeded. Of what is drawn, where it has to be."""
        return self._beside(*self.drawn())

    def reachable(self) -> tuple[int | None, int | None]:
        """As `room`, with what may still be drawn."""
        return self._beside(*self.within_reach())

    def drawn(self) -> tuple[int | None, int | None]:
        """What may be held of the ceilings now."""
        nano, tokens, drawing = self.ceiling_nano, self.ceiling_tokens, self.drawing
        if drawing is not None:
            nano = None if nano is None else min(nano, drawing.nano.granted)
            tokens = None if tokens is None else min(tokens, drawing.tokens.granted)
        return nano, tokens

    def within_reach(self) -> tuple[int | None, int | None]:
        """What may ever be held of the ceilings, by what is known."""
        if self.drawing is None:
            return self.ceiling_nano, self.ceiling_tokens
        return (
            _within_reach(self.ceiling_nano, self.drawing.nano),
            _within_reach(self.ceiling_tokens, self.drawing.tokens),
        )

    def elsewhere(self) -> tuple[int, int]:
        """What others drew of the ceilings, in nano-dollars and tokens, when last looked at."""
        if self.drawing is None:
            return 0, 0
        nano, tokens = self.drawing.nano, self.drawing.tokens
        return nano.elsewhere, tokens.elsewhere

    def lacks(self, bound: Bound) -> tuple[int, int]:
        """What more has to be drawn for a bound, in nano-dollars and tokens."""
        if self.drawing is None:
            return 0, 0
        nano, tokens = self.room()
        return (
            0 if nano is None else max(0, bound.nano - nano),
            0 if tokens is None else max(0, bound.tokens - tokens),
        )

    def _beside(self, nano: int | None, tokens: int | None) -> tuple[int | None, int | None]:
        if nano is not None:
            nano -= self.gone_nano + self.reserved_nano + self.allocated_nano
        if tokens is not None:
            tokens -= self.gone_tokens + self.reserved_tokens + self.allocated_tokens
        return nano, tokens

    def rest(self) -> tuple[int, int]:
        """What is left of an allocation's purse, in nano-dollars and tokens; 0 of what it has no
        ceiling in: of that, nothing is set aside."""
        nano, tokens = self.room()
        return max(0, nano or 0), max(0, tokens or 0)


@dataclass(frozen=True, slots=True)
class Wait:
    """The call waits, holding nothing.

    Attributes:
        resource: what is short; calls behind it that need the same wait too.
        bottleneck: the same in the report's words, such as "requests_per_minute".
        why: one line for people, with the numbers.
        until: the first instant at which asking again can help, None for "when something ends".
        full: nobody who comes after gets any of it, however little.
        also: what else is short.
    """

    resource: str
    bottleneck: str
    why: str
    until: int | None = None
    full: bool = False
    also: tuple["Wait", ...] = ()

    @property
    def all(self) -> tuple["Wait", ...]:
        """A wait for each thing that is short."""
        return (self, *self.also)

    @property
    def short(self) -> tuple[str, ...]:
        """All that is short."""
        return tuple(wait.resource for wait in self.all)


@dataclass(frozen=True, slots=True)
class Refused:
    """Whatever ends, this call cannot be paid for. `purse` is the one that cannot, `left_nano` and
    `left_tokens` what it could pay for at most, once nothing is reserved."""

    why: str
    purse: PurseKey | None = None
    left_nano: int | None = None
    left_tokens: int | None = None


def money_is_low(free: int, bound: int) -> bool:
    """Whether a bound is more than 2% of the money that is free: time to ask for less."""
    return bound * _SMALL_PARTS > free


def low_on(purse: Purse, bound: Bound, own: tuple[int, int]) -> bool:
    """Whether money is low in a purse, of which `own` is set aside for the caller itself."""
    nano, tokens = purse.reachable()
    return (nano is not None and money_is_low(nano + own[0], bound.nano)) or (
        tokens is not None and money_is_low(tokens + own[1], bound.tokens)
    )


def judge(
    purse: Purse, bound: Bound, own: tuple[int, int], kept: tuple[int, int] = (0, 0)
) -> Wait | Refused | None:
    """P4: over budget only when what is gone, what is set aside for others and this bound exceed
    the ceiling; what is merely reserved is waited for. `own` is what is set aside for the caller,
    `kept` what is left to calls that have waited longer: whoever has enough of its own set aside
    need leave nothing.
    """
    in_usd, in_tokens = purse.drawn()
    gone, others = purse.gone_nano, purse.allocated_nano - own[0]
    ceiling, held = in_usd, purse.reserved_nano
    if own[0] < bound.nano:
        held += kept[0]
    if ceiling is not None and gone + held + others + bound.nano > ceiling:
        return _short(purse, bound, own, kept, in_tokens=False)
    gone, others = purse.gone_tokens, purse.allocated_tokens - own[1]
    ceiling, held = in_tokens, purse.reserved_tokens
    if own[1] < bound.tokens:
        held += kept[1]
    if ceiling is not None and gone + held + others + bound.tokens > ceiling:
        return _short(purse, bound, own, kept, in_tokens=True)
    return None


def exceeded_by(purse: Purse, bound: Bound) -> str | None:
    """Why a purse could not pay for a bound by what is gone of it now; None where it could."""
    if purse.ceiling_nano is not None and purse.gone_nano + bound.nano > purse.ceiling_nano:
        return _refusal(purse, bound.nano, 0, in_tokens=False)
    if purse.ceiling_tokens is not None and purse.gone_tokens + bound.tokens > purse.ceiling_tokens:
        return _refusal(purse, bound.tokens, 0, in_tokens=True)
    return None


def what_holds(purse: Purse, *, in_tokens: bool = False, others: int | None = None) -> str:
    """What the money of a purse went to, for people: "$1.20 spent, $0.30 unconfirmed"."""
    if in_tokens:
        spent, unconfirmed, reserved = (
            purse.spent_tokens,
            purse.unconfirmed_tokens,
            purse.reserved_tokens,
        )
        aside = purse.allocated_tokens if others is None else others
    else:
        spent, unconfirmed, reserved = purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano
        aside = purse.allocated_nano if others is None else others
    show = show_tokens if in_tokens else show_usd
    parts = (
        (spent, "spent"),
        (unconfirmed, "unconfirmed"),
        (reserved, "held by reservations"),
        (aside, "set aside in allocations"),
    )
    return ", ".join(f"{show(amount)} {name}" for amount, name in parts if amount)


def show_tokens(count: int) -> str:
    return f"{count:,} tokens"


def _within_reach(ceiling: int | None, drawn: Drawn) -> int | None:
    return None if ceiling is None else drawn.reach(ceiling)


def _short(
    purse: Purse, bound: Bound, own: tuple[int, int], kept: tuple[int, int], *, in_tokens: bool
) -> Wait | Refused:
    at = 1 if in_tokens else 0
    ceiling, drawn = purse.within_reach()[at], purse.drawn()[at]
    assert ceiling is not None and drawn is not None
    if in_tokens:
        gone, reserved = purse.gone_tokens, purse.reserved_tokens
        others, need = purse.allocated_tokens - own[1], bound.tokens
    else:
        gone, reserved = purse.gone_nano, purse.reserved_nano
        others, need = purse.allocated_nano - own[0], bound.nano
    if gone + others + need > ceiling:
        return Refused(
            _refusal(purse, need, others, in_tokens=in_tokens), purse.key, *_left(purse, own)
        )
    show = show_tokens if in_tokens else show_usd
    left_to = kept[at]
    others_wait = f", {show(left_to)} kept for calls that have waited longer" if left_to else ""
    resource = f"purse:{purse.account}"
    bottleneck = "budget_total_tokens" if in_tokens else "budget_usd"
    if drawn < ceiling:
        return Wait(
            resource,
            bottleneck,
            f"needs {show(need)}; {show(drawn)} of the {show(ceiling)} of {_named(purse)} is drawn"
            f" by this machine, {show(reserved)} of it held by reservations{others_wait}: more is"
            " asked of Prefect's API",
        )
    return Wait(
        resource,
        bottleneck,
        f"needs {show(need)}, {show(reserved)} of the {show(ceiling)} ceiling of {_named(purse)} is"
        f" held by reservations{others_wait}",
    )


def _left(purse: Purse, own: tuple[int, int]) -> tuple[int | None, int | None]:
    """What a purse could pay for, in nano-dollars and in tokens, once nothing is reserved."""
    nano, tokens = purse.within_reach()
    if nano is not None:
        nano = max(0, nano - purse.gone_nano - purse.allocated_nano + own[0])
    if tokens is not None:
        tokens = max(0, tokens - purse.gone_tokens - purse.allocated_tokens + own[1])
    return nano, tokens


def _refusal(purse: Purse, need: int, others: int, *, in_tokens: bool) -> str:
    show = show_tokens if in_tokens else show_usd
    ceiling = purse.ceiling_tokens if in_tokens else purse.ceiling_nano
    assert ceiling is not None
    gone = purse.gone_tokens if in_tokens else purse.gone_nano
    reach = purse.within_reach()[in_tokens]
    assert reach is not None
    left = max(0, reach - gone - others)
    holds = what_holds(purse, in_tokens=in_tokens, others=others)
    if purse.drawing is not None and reach < ceiling:
        lost = (purse.drawing.tokens if in_tokens else purse.drawing.nano).lost
        where = "drawn by other machines"
        if lost:
            where = "not to be drawn, as its counter is lost (`prefect-governor doctor` says how)"
        holds = f"{holds}{', ' if holds else ''}{show(ceiling - reach)} {where}"
    way_on = "allocate more" if is_allocation(purse.account) else "raise the ceiling"
    return (
        f"needs {show(need)}, {show(left)} of the {show(ceiling)} ceiling of {_named(purse)} is"
        f" left (window {purse.label}{': ' if holds else ''}{holds}); {way_on} to go on"
    )


def _named(purse: Purse) -> str:
    return f"{'allocation' if is_allocation(purse.account) else 'budget'} {purse.name!r}"
