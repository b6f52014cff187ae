"""What the wire needs of a governor and of its ledger: two protocols, no implementation."""

from concurrent.futures import Future
from typing import Protocol

from prefect_governor.blocks.ledger.records import (
    Admission,
    Attribution,
    Demand,
    Reply,
    ReplyKey,
    Usage,
)
from prefect_governor.blocks.model.prices import Price


class Desk(Protocol):
    """The process's one door to the ledger. Every future resolves after a durable commit."""

    def admit(
        self, demand: Demand, *, queue_timeout_seconds: float | None = None
    ) -> "Future[Admission]":
        """Queue for admission. Raises through the future: OverBudget, QueueTimeout,
        LedgerUnavailable."""

    def abandon(self, call_id: str) -> "Future[None]":
        """The caller no longer wants it: leaves the queue, or is voided if just admitted."""

    def settle(self, call_id: str, usage: Usage, reply: Reply | None = None) -> "Future[None]":
        """What the provider billed; with the reply, in one transaction."""

    def void(self, call_id: str, reason: str) -> "Future[None]":
        """Provably not billed: the money, the slot and the rate's tokens go back. The request
        stays counted: providers count those that they refuse."""

    def unconfirm(self, call_id: str, reason: str) -> "Future[None]":
        """Nobody knows: it stays charged at its bound, the slot is free."""

    def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> "Future[None]":
        """The provider said 429: everyone under these limits holds for this long."""

    def reply(self, key: ReplyKey) -> Reply | None:
        """A reply kept earlier for the same call of the same item, if there is one."""


class Governing(Protocol):
    """The running side of a governor."""

    @property
    def desk(self) -> Desk: ...

    @property
    def queue_timeout_seconds(self) -> float | None: ...

    def price_of(self, model: str, *, host: str) -> Price | None:
        """The price of a model as LiteLLM names it (`provider/model` or bare)."""

    def accounts(self, who: Attribution) -> tuple[str, ...]:
        """Keys of the accounts that a call draws on, leaf first."""

    def limits(self, *, tags: tuple[str, ...], model: str, host: str) -> tuple[str, ...]:
        """Keys of every limit that applies to a call."""

    def throttle_keys(self, limits: tuple[str, ...]) -> tuple[str, ...]:
        """Of a call's limits, those that stand for its model: what a provider's 429 is about. A
        limit of a tag or of everything holds other models too, which the provider may serve."""
