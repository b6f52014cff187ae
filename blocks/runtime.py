"""A governor at work: which accounts and limits a call falls under, and what a model costs."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.records import Account, Attribution, LimitTerms
from prefect_governor.blocks.limits.limit import Limit
from prefect_governor.blocks.model.prices import Price, load_price

# No limit of a governor has a key that begins so.
_UPSTREAM = "upstream/"


@dataclass(frozen=True, slots=True)
class GovernedLimit:
    """A limit with the key that the ledger knows it by."""

    limit: Limit
    key: str
    leased: bool

    @property
    def terms(self) -> LimitTerms:
        return self.limit.terms(self.key, leased=self.leased)


@dataclass
class Runtime:
    """See `wire.governing.Governing`.

    `accounts_` are the budgets up the chain, leaf first.
    """

    name: str
    desk: LedgerDesk
    accounts_: tuple[Account, ...]
    limits_: tuple[GovernedLimit, ...]
    prices: Mapping[str, Price] = field(default_factory=dict)
    queue_timeout_seconds: float | None = None
    _upstreams: set[str] = field(default_factory=set)

    def apply(self) -> None:
        """Tell the ledger what the budgets and limits say. Waits for the commit."""

        def work(batch: Batch) -> None:
            for account in self.accounts_:
                batch.register(account)
            for limit in self.limits_:
                batch.define(limit.terms)

        self.desk.write(work).result()

    def narrowed(
        self,
        *,
        account: Account | None = None,
        limits: tuple[GovernedLimit, ...] = (),
        prices: Mapping[str, Price] | None = None,
    ) -> "Runtime":
        """The same governor under one more budget and more limits: it never raises anything."""
        return replace(
            self,
            accounts_=((account, *self.accounts_) if account else self.accounts_),
            limits_=(*self.limits_, *limits),
            prices={**self.prices, **(prices or {})},
            _upstreams=set(),
        )

    def price_of(self, model: str, *, host: str) -> Price | None:
        bare = model.split("/", 1)[-1]
        return self.prices.get(model) or self.prices.get(bare) or load_price(model)

    def accounts(self, who: Attribution) -> tuple[str, ...]:
        return tuple(account.key for account in self.accounts_)

    def limits(self, *, tags: tuple[str, ...], model: str, host: str) -> tuple[str, ...]:
        keys = [each.key for each in self.limits_ if each.limit.applies_to(tags=tags, model=model)]
        return (*keys, self._upstream(host, model))

    def throttle_keys(self, limits: tuple[str, ...]) -> tuple[str, ...]:
        of_models = {each.key for each in self.limits_ if each.limit.model is not None}
        return tuple(key for key in limits if key in of_models or key.startswith(_UPSTREAM))

    def _upstream(self, host: str, model: str) -> str:
        """The provider's own limit on a model, unknown until it says 429: a place for its
        Retry-After to hold everybody who calls it."""
        key = f"{_UPSTREAM}{host}/{model}"
        if key not in self._upstreams:
            terms = LimitTerms(key, f"{model} at {host}")

            def defined(future: "Future[None]") -> None:
                # One that failed is defined again by the next call.
                if future.exception() is None:
                    self._upstreams.add(key)

            self.desk.write(lambda batch: batch.define(terms)).add_done_callback(defined)
        return key
