"""The plain values that pass between the wire, the decision and a store. No I/O, no clock.

Money is nano-dollars (int), tokens are ints, instants are nanoseconds of the ledger's own clock.
"""

from dataclasses import dataclass, field
from typing import Literal

from prefect_governor.blocks.budget.windows import Window

Meter = Literal["requests", "tokens", "input_tokens", "output_tokens"]


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a call can cost: nano-dollars, and tokens in and out."""

    nano: int
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider billed for a call, read off the wire."""

    nano: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who a call is for."""

    flow: str | None = None
    deployment: str | None = None
    flow_run_id: str | None = None
    task: str | None = None
    task_run_id: str | None = None
    tags: tuple[str, ...] = ()
    model: str | None = None
    user: str | None = None
    label: str | None = None
    run_id: str | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyKey:
    """Where a reply is kept so that a run taken up again does not pay for it twice."""

    run_id: str
    item: str
    call_index: int
    request_hash: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's reply as it came, kept in the settle's transaction."""

    key: ReplyKey
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Account:
    """A budget as the ledger knows it. `version` orders the documents it came from."""

    key: str
    name: str
    ceiling_nano: int | None
    ceiling_tokens: int | None
    window: Window = "total"
    time_zone: str = "UTC"
    version: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` of a meter in any `window_seconds`."""

    meter: Meter
    amount: int
    window_seconds: int = 60

    @property
    def name(self) -> str:
        unit = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}.get(self.window_seconds)
        return f"{self.meter}_per_{unit or f'{self.window_seconds}_seconds'}"


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """A limit as the ledger knows it.

    `leased` limits may only use slots that the governor has leased from Prefect; the others use
    the ledger's own count alone.
    """

    key: str
    name: str
    max_concurrent: int | None = None
    rates: tuple[Rate, ...] = ()
    leased: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call asks for: money up a chain of accounts (leaf first), a slot and a rate under
    every limit, all at once or not at all."""

    call_id: str
    accounts: tuple[str, ...]
    limits: tuple[str, ...]
    bound: Bound
    attribution: Attribution = field(default_factory=Attribution)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of everything it draws on, as a `Wait` names what is short."""
        purses = tuple(f"purse:{key}" for key in self.accounts)
        return purses + tuple(f"gate:{key}" for key in self.limits)


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted call: its reservation exists, its slots are taken."""

    call_id: str
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account's figures in its current window."""

    key: str
    name: str
    window: str
    ceiling_nano: int | None
    ceiling_tokens: int | None
    spent_nano: int = 0
    unconfirmed_nano: int = 0
    reserved_nano: int = 0
    spent_tokens: int = 0
    unconfirmed_tokens: int = 0
    reserved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit's figures now. `cap` is the smallest of what holds, `None` where nothing does."""

    key: str
    name: str
    cap: int | None
    in_flight: int
    max_in_flight: int
    throttled: int
