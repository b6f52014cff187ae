"""A governor at work: which accounts and limits a call falls under, and what a model costs."""

import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakSet

from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.errors import (
    CallRefused,
    ConfigurationError,
    NotGoverned,
    NotPriced,
)
from prefect_governor.blocks.ledger.decision.batch import Batch, current_label
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.queue import EXCLUSIVE_PREFIX
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.prices.deployments import at_host
from prefect_governor.blocks.prices.given import Given, price_by
from prefect_governor.blocks.prices.own import Prices, SavedPrices, free_elsewhere, own_price
from prefect_governor.blocks.prices.prices import Price, price_at
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.budgets import NOMINAL, UNSAVED, Account
from prefect_governor.blocks.records.calls import Attribution
from prefect_governor.blocks.records.limits import LimitRecord
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms
from prefect_governor.blocks.terms.governor import Bypass
from prefect_governor.blocks.terms.limit import GovernedLimit
from prefect_governor.blocks.wire.sockets import cut_all
from prefect_governor.blocks.work.measured import measure

K = TypeVar("K")
V = TypeVar("V")

# What a governor says beside its budgets and limits, and holds for the runs under it too.
_FOLLOWED = (
    "queue_timeout_seconds", "observe", "pause_seconds", "fallback_share", "off", "closed",
    "saved_prices", "bypass", "accepted", "output",
)  # fmt: skip
# No limit of a governor has a key that begins so.
_UPSTREAM = "upstream/"
# How old what was read of the ledger may be, in seconds: no read a call.
LEARNED_SECONDS = 1.0
SHARE_SECONDS = 0.5
# What was read under more names than this is forgotten: a process may live for thousands of runs.
_MOST_NAMES = 256


# Desks that were told what to do when this process was frozen or cut off.
_told: "WeakSet[LedgerDesk]" = WeakSet()


def _cut() -> None:
    cut_all()


class _Recent(Generic[K, V]):
    """What was read under a name, read anew when it is too old. Threads may read one twice."""

    def __init__(self, seconds: float, now: Callable[[], Instant]) -> None:
        self._life = int(seconds * 1e9)
        self._now = now
        self._known: dict[K, tuple[int, V]] = {}

    def get(self, name: K, read: Callable[[], V]) -> V:
        now = self._now().boot
        known = self._known.get(name)
        if known is not None and now - known[0] < self._life:
            return known[1]
        value = read()
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[name] = (now, value)
        return value


@dataclass
class Runtime:
    """See `context.governing.Governing`.

    `accounts_` are the budgets up the chain, leaf first. `off` says in one line why nothing is held
    back, None where the ceilings and limits hold; `closed` why no more calls are admitted, None
    where they are. `now` is the ledger's clock, injected by tests. `key` is what the governor's own
    keys in the ledger begin with; its name where it is empty. `opened_by` gives the same governor
    in another process, and can be pickled.
    """

    name: str
    desk: LedgerDesk
    accounts_: tuple[Account, ...]
    limits_: tuple[GovernedLimit, ...]
    prices: Prices = field(default_factory=dict)
    saved_prices: SavedPrices = field(default_factory=SavedPrices)
    queue_timeout_seconds: float | None = None
    observe: bool = False
    pause_seconds: float = 0.0
    fallback_share: float | None = None
    output_floor_tokens: int = 64
    fit: bool = True
    bypass: Bypass = "refuse"
    accepted: Accepted = field(default_factory=Accepted)
    output: OutputTerms = AS_ASKED
    off: str | None = None
    closed: str | None = None
    now: Callable[[], Instant] = machine_now
    key: str = ""
    opened_by: "Callable[[], Runtime] | None" = None
    _upstreams: set[str] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)
    _learned: "_Recent[str, Learned | None]" = field(init=False, repr=False)
    _shares: "_Recent[str | None, float]" = field(init=False, repr=False)
    _own: "tuple[tuple[Account, ...], tuple[GovernedLimit, ...], Prices]" = field(
        init=False, repr=False
    )
    _narrowed: "list[weakref.ref[Runtime]]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._learned = _Recent(LEARNED_SECONDS, self.now)
        self._shares = _Recent(SHARE_SECONDS, self.now)
        if self.desk not in _told:
            _told.add(self.desk)
            self.desk.on_cut_off(_cut)
        self._own = ((), (), {})
        self._narrowed = []

    def apply(self) -> None:
        """Tell the ledger what the budgets and limits say. Waits for the commit."""

        def work(batch: Batch) -> None:
            for account in self.accounts_:
                batch.register(account)
            for limit in self.limits_:
                batch.define(limit.terms)

        self.desk.write(work).result()
        held = [each.limit.memory_mib for each in self.limits_ if each.limit.memory_mib]
        if held:
            item_starts().expect(memory_mib=max(held))
        measure(self)

    def narrowed(
        self,
        *,
        account: Account | None = None,
        limits: tuple[GovernedLimit, ...] = (),
        prices: Prices | None = None,
    ) -> "Runtime":
        """The same governor under one more budget and more limits: it never raises anything, and
        follows what the governor becomes (`changed`)."""
        inner = replace(self, _upstreams=set(), _keys=set())
        if (opened_by := self.opened_by) is not None:
            inner.opened_by = partial(_narrowed, opened_by, account, limits, prices)
        inner._own = ((account,) if account else (), limits, prices or {})
        inner._follow(self)
        self._narrowed = [each for each in self._narrowed if each() is not None]
        self._narrowed.append(weakref.ref(inner))
        return inner

    def elsewhere(self) -> "Callable[[], Runtime]":
        if self.opened_by is None:
            raise NotGoverned(
                f"governor {self.name!r} is this process's own, so that a task that runs in another"
                " one cannot be governed by it. Decorate the task with"
                " @governed('the name of a saved Governor')"
            )
        return self.opened_by

    def changed(self) -> None:
        """Make those that were narrowed from this one what it has become since."""
        for each in list(self._narrowed):
            if (inner := each()) is not None:
                inner._follow(self)

    def _follow(self, base: "Runtime") -> None:
        accounts, limits, prices = self._own
        self.accounts_ = (*accounts, *base.accounts_)
        self.limits_ = (*base.limits_, *limits)
        self.prices = {**base.prices, **prices}
        for name in _FOLLOWED:
            setattr(self, name, getattr(base, name))
        self.changed()

    def price_of(self, model: str, *, host: str, base_model: str | None = None) -> Price | None:
        # What a person says is meant for the place that they call.
        own = own_price(self.prices, model, host=host)
        saved = None if own is not None else self.saved_prices.find(model, host=host)
        if isinstance(saved, str):
            raise NotPriced(f"{saved}; so {model!r} was not called")
        if (given := own or saved) is not None:
            return given
        if base_model is not None:
            return price_by(Given(base_model=base_model), model)
        listed = price_at(at_host(model, host), host)
        if listed is not None:
            return listed
        if (pattern := free_elsewhere(self.prices, model)) is not None:
            raise NotPriced(
                f"{pattern!r} is free on your own machine and network (loopback, private addresses,"
                f" names without a dot), and {host!r} is neither, so {model!r} was not called."
                " If it is free there all the same, say so by its name:"
                f" prices={{{model!r}: 'free'}}"
            )
        return None

    def learned(self, model: str) -> Learned | None:
        return self._learned.get(model, lambda: self.desk.store.read_learned(model))

    def spent_share(self, run_id: str | None = None) -> float:
        """The largest share of a ceiling that is spent or unconfirmed, over its budgets, in dollars
        or tokens; 0.0 without a ceiling, at least 1.0 at a ceiling of 0. Half a second old at most.

        What is only reserved does not count: waiting for others' reservations is not the end of the
        money. `run_id` is whose window a budget a run is read in, by default its latest.

        Raises LedgerUnavailable.
        """
        return self._shares.get(run_id, lambda: self._read_share(run_id))

    def _read_share(self, run_id: str | None) -> float:
        shares = [0.0]
        for account in self.accounts_:
            known = self.desk.store.read_purse(account.key)
            if known is None:
                continue
            if run_id is not None and known[0].window == "run":
                label = current_label(known[0], None, self.now(), run_id=purse_run(run_id))
                known = self.desk.store.read_purse(account.key, label) or known
            applied, purse = known
            for gone, ceiling in (
                (purse.spent_nano + purse.unconfirmed_nano, applied.ceiling_nano),
                (purse.spent_tokens + purse.unconfirmed_tokens, applied.ceiling_tokens),
            ):
                if ceiling is not None:
                    shares.append(gone / ceiling if ceiling else 1.0)
        return max(shares)

    def counts_tokens_alone(self, accounts: tuple[str, ...]) -> bool:
        """By what the ledger has now: another process may have told it a ceiling in money. Raises
        LedgerUnavailable."""
        known = [self.desk.store.read_purse(key) for key in accounts]
        ceilings = [each[0] for each in known if each is not None]
        return any(each.ceiling_tokens is not None for each in ceilings) and all(
            each.ceiling_nano is None for each in (*ceilings, *self.accounts_)
        )

    @property
    def by_run(self) -> bool:
        return any(account.window == "run" for account in self.accounts_)

    def accounts(self, who: Attribution, *, nominal: bool = False) -> tuple[str, ...]:
        """Raises CallRefused where no more calls are admitted."""
        if self.closed is not None:
            raise CallRefused(self.closed)
        keys = tuple(account.key for account in self.accounts_)
        unsaved = tuple(key for key in keys if key.startswith(UNSAVED))
        if not nominal or unsaved == keys:
            return keys
        self._open_nominal()
        return (*unsaved, NOMINAL.key)

    def _open_nominal(self) -> None:
        """Make that account before whatever is asked for next."""
        if NOMINAL.key in self._keys:
            return

        def opened(future: "Future[bool]") -> None:
            if future.exception() is None:
                self._keys.add(NOMINAL.key)

        self.desk.write(lambda batch: batch.register(NOMINAL)).add_done_callback(opened)

    def limits(
        self,
        *,
        tags: tuple[str, ...],
        model: str,
        host: str,
        credential: str = "",
        also: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        keys = [
            each.key
            for each in self.limits_
            if each.limit.applies_to(tags=tags, model=model, also=also)
        ]
        return (*keys, self._upstream(host, model, credential))

    def accepts_unseen(
        self, *, tags: tuple[str, ...], model: str, also: tuple[str, ...] = ()
    ) -> bool:
        return any(
            each.limit.unseen == "context"
            and each.limit.applies_to(tags=tags, model=model, also=also)
            for each in self.limits_
        )

    def task_limits(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Keys of the limits that a task run with these tags counts under."""
        return tuple(each.key for each in self.limits_ if each.limit.applies_to_task(tags))

    @property
    def counts_tasks(self) -> bool:
        """Whether any limit counts task runs."""
        return any(each.limit.counts == "tasks" for each in self.limits_)

    @property
    def expects_calls(self) -> bool:
        """Whether it is for model calls: it is not where all of its limits count task runs."""
        return not self.limits_ or any(each.limit.counts == "calls" for each in self.limits_)

    def limit_named(self, name: str) -> GovernedLimit:
        """The limit of a name, or else of a tag.

        Raises ConfigurationError for one that there is not, CallRefused where nothing is admitted.
        """
        if self.closed is not None:
            raise CallRefused(self.closed)
        for each in self.limits_:
            if name == each.limit.name:
                return each
        for each in self.limits_:
            if name == each.limit.tag:
                return each
        names = ", ".join(sorted(repr(each.limit.name) for each in self.limits_)) or "none"
        raise ConfigurationError(
            f"governor {self.name!r} has no limit {name!r}; its limits are: {names}. Add"
            f" Limit(tag={name!r}, max_concurrent=…) to it"
        )

    def exclusive(self, key: str) -> str:
        """The key of a limit that lets one in at a time, defined where it is not there yet."""
        limit = storable(f"{EXCLUSIVE_PREFIX}{self.key or self.name}/{key}")
        if limit not in self._keys:
            self._define(LimitRecord(limit, f"exclusive {key}", 1), self._keys)
        return limit

    def _define(self, terms: LimitRecord, known: set[str]) -> None:
        """Define a limit before whatever is asked for next; `known` has it once it is. It waits for
        a busy ledger as the call does that needs it."""

        def defined(future: "Future[None]") -> None:
            # One that failed is defined again by the next call.
            if future.exception() is None:
                known.add(terms.key)

        self.desk.define(terms).add_done_callback(defined)

    def throttle_keys(
        self, limits: tuple[str, ...], *, model: str | None = None
    ) -> tuple[str, ...]:
        of_models = {
            each.key
            for each in self.limits_
            if each.limit.model is not None and (model is None or each.stands_for(model))
        }
        return tuple(key for key in limits if key in of_models or key.startswith(_UPSTREAM))

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Keys of the providers' own limits that were met here."""
        return tuple(sorted(self._upstreams))

    def met(self, upstreams: Iterable[str]) -> None:
        """The run called these in other processes, where their limits were told to the ledger."""
        self._upstreams.update(upstreams)

    def _upstream(self, host: str, model: str, credential: str) -> str:
        """The provider's own limit on a model, for each API key, unknown until the provider teaches
        it: what holds everybody who calls it."""
        key = storable(f"{_UPSTREAM}{host}/{model}" + (f"/{credential}" if credential else ""))
        if key not in self._upstreams:
            terms = LimitRecord(key, f"{model} at {host}", adaptive=True)
            self._define(terms, self._upstreams)
        return key


def _narrowed(
    opened_by: Callable[[], Runtime],
    account: Account | None,
    limits: tuple[GovernedLimit, ...],
    prices: Prices | None,
) -> Runtime:
    """In another process: a governor of this one's that was narrowed for a run. Its budget and its
    limits are in the ledger."""
    return opened_by().narrowed(account=account, limits=limits, prices=prices)
