"""The plain values that pass between the wire, the decision and a store. No I/O, no clock.

Money is nano-dollars (int), tokens are ints, instants are nanoseconds of the ledger's own clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from prefect_governor.blocks.budget.windows import Window

Meter = Literal["requests", "tokens", "input_tokens", "output_tokens"]
CallState = Literal["reserved", "spent", "released", "unconfirmed"]
NoticeKind = Literal[
    "ceiling_share",
    "over_budget",
    "unconfirmed",
    "bound_exceeded",
    "resumed",
    "ceiling_changed",
    "throttled",
]


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
class Allocation:
    """A part of a chain of budgets, set aside for one consumer.

    Its ceiling and what was spent of it stand in an account and a purse of its own, `key`; what is
    left of it is held in every purse of `within` (account, window label; nearest first), where it
    was set aside. Calls under it draw on those very windows, whatever the time is by then.

    Attributes:
        label: what it is for, in people's words.
        group: allocations of one group (a run's) give back to and redraw from each other.
        elastic: it redraws, and others of its group may redraw from it; a fixed one (the closing
            synthesis) does neither.
        owner: the process at whose death its rest returns; None where it outlives its maker (a
            shard on another machine).
        closed: its rest was given back; calls still in flight settle into it all the same.
    """

    key: str
    label: str
    within: tuple[tuple[str, str], ...]
    group: str | None = None
    elastic: bool = False
    owner: str | None = None
    closed: bool = False


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
class RateReading:
    """What a provider's reply says of one of its rates: how much a window holds, what is left of it
    and in how many seconds all of it is back. None where it does not say."""

    meter: Meter
    limit: int
    remaining: int | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Signals:
    """What the way a call ended says of its provider.

    Attributes:
        status: of the reply, None where there was none.
        seconds: from its request's last byte to its reply's first, None where that says nothing.
        hold_seconds: for how long a 429 asks to hold.
        delay_seconds: from its admission to its request's last byte: so much later the provider has
            counted it.
        readings: of the provider's rates.
    """

    status: int | None = None
    seconds: float | None = None
    hold_seconds: float = 0.0
    readings: tuple[RateReading, ...] = ()
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """A limit as the ledger knows it.

    `leased` limits may only use slots that the governor has leased from Prefect; the others use
    the ledger's own count alone. `adaptive` ones are a provider's own, learned from how it answers.
    """

    key: str
    name: str
    max_concurrent: int | None = None
    rates: tuple[Rate, ...] = ()
    leased: bool = False
    adaptive: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call asks for: money up a chain of accounts (leaf first), a slot and a rate under
    every limit, all at once or not at all.

    Attributes:
        fitted: a smaller bound that will do while money is low; the admission says which it was.
        observe: recorded, never held back; the admission says what would have become of it.
        request_id: what the provider's own records name the call by, where it is known.
        priority: of those that wait, a higher one goes first.
    """

    call_id: str
    accounts: tuple[str, ...]
    limits: tuple[str, ...]
    bound: Bound
    attribution: Attribution = field(default_factory=Attribution)
    fitted: Bound | None = None
    observe: bool = False
    request_id: str | None = None
    priority: int = 0

    @property
    def run(self) -> str | None:
        """The run that it belongs to."""
        return self.attribution.run_id or self.attribution.flow_run_id

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of everything it draws on, as a `Wait` names what is short."""
        purses = tuple(f"purse:{key}" for key in self.accounts)
        return purses + tuple(f"gate:{key}" for key in self.limits)


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted call: its reservation exists, its slots are taken.

    `fitted`: it was admitted at the demand's smaller bound. `observed`: why it would have waited or
    been refused, had it not been observed only. `at`: when, on the ledger's boot clock.
    """

    call_id: str
    waited_seconds: float
    fitted: bool = False
    observed: str | None = None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a settled call teaches about its model. Absent figures teach nothing.

    `local_input_tokens` is the local tokenizer's count without any factor or overhead;
    `output_limit` the `max_tokens` that it was sent, `cut` that its answer stopped there.
    """

    model: str
    local_input_tokens: int | None = None
    output_limit: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call as the ledger keeps it, for those who ask who holds or spent the money."""

    call_id: str
    state: CallState
    owner: str
    pid: int | None
    bound: Bound
    usage: Usage | None
    reason: str | None
    observed: str | None
    request_id: str | None
    created_wall: int
    resolved_wall: int | None
    attribution: Attribution


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people may want to act on, kept until it was told as an event.

    `subject` is the account's key; `payload` holds figures and names, never a secret.
    """

    kind: NoticeKind
    subject: str
    name: str
    window: str
    payload: Mapping[str, Any]
    wall: int
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """A row of what people changed by hand or by evidence. Never removed.

    `action` is "settled", "voided", "raised", "lowered" or "returned"; `subject` a call's id or an
    account's key; `by` who did it; `evidence` where it stands (a file and its row), `reason` why.
    """

    action: str
    subject: str
    by: str
    reason: str
    evidence: str | None
    before: str
    after: str
    wall: int


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
    allocated_nano: int = 0
    allocated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit's figures now. `cap` is the smallest of what holds, `None` where nothing does."""

    key: str
    name: str
    cap: int | None
    in_flight: int
    max_in_flight: int
    throttled: int
