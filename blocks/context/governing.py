"""What the wire needs of a governor and of its ledger: two protocols, no implementation."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.machine.strands import Strand
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.calls import (
    Admission,
    Attribution,
    Demand,
    Facts,
    Reply,
    ReplyKey,
    Usage,
)
from prefect_governor.blocks.records.limits import Signals
from prefect_governor.blocks.records.output import OutputTerms
from prefect_governor.blocks.terms.governor import Bypass


class Desk(Protocol):
    """The process's one door to the ledger. Every future resolves after a durable commit."""

    def admit(
        self,
        demand: Demand,
        *,
        queue_timeout_seconds: float | None = None,
        pause_seconds: float = 0.0,
        strand: Strand | None = None,
    ) -> "Future[Admission]":
        """Queue for admission. A call that is over budget waits up to `pause_seconds` for a raise,
        holding nothing. `strand` is who must go on for the call to end, where that is known:
        whoever waits for himself is refused. Raises through the future: OverBudget, QueueTimeout,
        LedgerUnavailable, CallRefused."""

    def is_stale(self, admission: Admission) -> bool:
        """Whether a call was admitted too long ago to be sent now: this process stood still since,
        and others may have taken what it held."""

    def age_seconds(self, admission: Admission) -> float:
        """How long ago a call was admitted."""

    def abandon(self, call_id: str) -> "Future[None]":
        """The caller no longer wants it: leaves the queue, or is voided if just admitted."""

    def settle(
        self,
        call_id: str,
        usage: Usage,
        reply: Reply | None = None,
        *,
        facts: Facts | None = None,
        signals: Signals | None = None,
    ) -> "Future[None]":
        """What the provider billed; with the reply and what it teaches, in one transaction."""

    def void(self, call_id: str, reason: str, *, signals: Signals | None = None) -> "Future[None]":
        """Provably not billed: the money, the slot and the rate's tokens go back. The request
        stays counted: providers count those that they refuse."""

    def unconfirm(
        self, call_id: str, reason: str, *, signals: Signals | None = None
    ) -> "Future[None]":
        """Nobody knows: it stays charged at its bound, the slot is free."""

    def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> "Future[None]":
        """The provider said 429: everyone under these limits holds for this long."""

    def handed_on(self, call_id: str) -> None:
        """Whoever runs here reads the reply of an admitted call, and ends it."""

    def reply(self, key: ReplyKey) -> Reply | None:
        """A reply kept earlier for the same call of the same item, if there is one."""


class Governing(Protocol):
    """The running side of a governor."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def desk(self) -> Desk: ...

    @property
    def queue_timeout_seconds(self) -> float | None: ...

    @property
    def pause_seconds(self) -> float:
        """How long a call that is over budget waits for a raise before it is refused."""

    @property
    def observe(self) -> bool:
        """Calls are recorded and never held back."""

    @property
    def bypass(self) -> Bypass:
        """What becomes of a model call that is made by a client that is not the governor's."""

    @property
    def fit(self) -> bool:
        """Whether an answer's `max_tokens` may be fitted as money runs low."""

    @property
    def output_floor_tokens(self) -> int:
        """What no answer's `max_tokens` is fitted below."""

    @property
    def accepted(self) -> Accepted:
        """What is accepted of all its calls."""

    @property
    def output(self) -> OutputTerms:
        """What an answer may hold, where the request names nothing or too much."""

    @property
    def fallback_share(self) -> float | None:
        """The spent share from which on cheaper models are asked; None for never."""

    def spent_share(self, run_id: str | None = None) -> float:
        """The largest share of a ceiling that is spent or unconfirmed, a moment old at most. Of
        budgets with a ceiling a run, the run's."""

    def learned(self, model: str) -> Learned | None:
        """What settled calls have taught of a model, a moment old at most."""

    def price_of(self, model: str, *, host: str, base_model: str | None = None) -> Price | None:
        """The price of a model as LiteLLM names it (`provider/model` or bare). `base_model` is the
        model behind a deployment's name, where the caller says it."""

    @property
    def by_run(self) -> bool:
        """Whether any of its accounts is counted by the run."""

    def counts_tokens_alone(self, accounts: tuple[str, ...]) -> bool:
        """Whether these accounts have ceilings, and none of them in money."""

    def accounts(self, who: Attribution, *, nominal: bool = False) -> tuple[str, ...]:
        """Keys of the accounts that a call draws on, leaf first. `nominal`: nobody bills it, so it
        draws on no saved budget."""

    def limits(
        self,
        *,
        tags: tuple[str, ...],
        model: str,
        host: str,
        credential: str = "",
        also: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        """Keys of every limit that applies to a call. `credential` is a short hash of its API key:
        the provider counts each by itself. `also` is what the model is called beside its name."""

    def accepts_unseen(
        self, *, tags: tuple[str, ...], model: str, also: tuple[str, ...] = ()
    ) -> bool:
        """Whether a limit that applies to a call lets the model's context window bound what of it
        nobody sees."""

    def throttle_keys(
        self, limits: tuple[str, ...], *, model: str | None = None
    ) -> tuple[str, ...]:
        """Of a call's limits, those that stand for its model by its own name: what a provider's
        429 is about. A limit of a tag or of everything holds other models too, which the provider
        may serve, and so does one on what a model is called elsewhere."""

    def elsewhere(self) -> "Callable[[], Governing]":
        """What gives the same governor in another process, and can be pickled. Called there it
        raises as opening the governor does, and ConfigurationError where that process has another
        ledger. Raises NotGoverned for one that this process alone knows."""
