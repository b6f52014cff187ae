"""A call as it is asked for, admitted, billed and kept. Plain values: no I/O, no clock.

Money is nano-dollars (int), tokens are ints, instants are nanoseconds of the ledger's own clock.
"""

from dataclasses import dataclass, field
from typing import Literal

CallState = Literal["reserved", "spent", "released", "unconfirmed"]


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
class Demand:
    """What a call asks for: money up a chain of accounts (leaf first), a slot and a rate under
    every limit, all at once or not at all.

    Attributes:
        fitted: a smaller bound that will do while money is low; the admission says which it was.
        observe: recorded, never held back; the admission says what would have become of it.
        unmeasured: of one that is observed, why nothing bounds or prices it: its method and path, a
            colon, the reason.
        request_id: what the provider's own records name the call by, where it is known.
        priority: of those that wait, a higher one goes first.
        yields: where it is over budget it is asked for again with less, so nobody is told of it.
        purse_run: whose purse a budget "a run" is; None for the run that it belongs to.
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
    yields: bool = False
    purse_run: str | None = None
    unmeasured: str | None = None

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
