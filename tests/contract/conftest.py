"""Every store under one suite, with a clock and processes that do what a test says."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Rows, Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord
from tests.contract.drawn import NOT_DRAWN, open_drawn
from tests.postgres import ledgers
from tests.unit.clocks import Clock

# What fails in these says with what, as a test does.
pytest.register_assert_rewrite(
    "tests.contract.acts", "tests.contract.desk.asking", "tests.contract.store.calls"
)

BOUND = Bound(100, 30, 20)
USAGE = Usage(40, 25, 5, 10)


OpenStore = Callable[[], Store]
StoreFactory = Callable[[Path, Clock], Store]


def open_sqlite(folder: Path, clock: Clock) -> Store:
    return SQLiteStore(folder / "ledger.db", now=clock)


def open_postgres(folder: Path, clock: Clock) -> Store:
    # Asks the server at every look, so that no test waits for its word.
    store = PostgresStore(ledgers.url(folder), now=clock, poll_seconds=0.0)
    ledgers.opens(folder, store)
    return store


# A new store joins the suite by its line here.
FACTORIES: dict[str, StoreFactory] = {
    "sqlite": open_sqlite,
    "postgres": open_postgres,
    "prefect-api": open_drawn,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(FACTORIES))
def factory(request: pytest.FixtureRequest) -> StoreFactory:
    name = getattr(request.node, "originalname", None)
    if request.param == "prefect-api" and name in NOT_DRAWN:
        pytest.skip(NOT_DRAWN[name])
    return FACTORIES[request.param]


@pytest.fixture
def open_store(factory: StoreFactory, tmp_path: Path, clock: Clock) -> Iterator[OpenStore]:
    """Opens the same ledger anew, as another process would."""
    opened: list[Store] = []

    def another() -> Store:
        opened.append(factory(tmp_path, clock))
        return opened[-1]

    yield another
    for each in opened:
        each.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


@dataclass
class Graveyard:
    """Which processes have died."""

    dead: set[str] = field(default_factory=set)


@dataclass
class FakeProcess:
    """A process whose death is decided by the test."""

    id: str
    graveyard: Graveyard = field(default_factory=Graveyard)
    pid: int = field(default_factory=os.getpid)
    buried: list[str] = field(default_factory=list)
    released: bool = False

    def is_dead(self, owner: str) -> bool:
        return owner in self.graveyard.dead

    def bury(self, owner: str) -> None:
        self.buried.append(owner)

    def release(self) -> None:
        self.released = True


@dataclass
class Flaky:
    """A store that fails when it is told to: before a transaction, or as it commits.

    Attributes:
        broken: every transaction fails before its work.
        commits_fail: the work is done, the commit fails, all of it is rolled back.
        commits_lie: the commit is kept, and fails all the same.
    """

    store: Store
    broken: bool = False
    commits_fail: bool = False
    commits_lie: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def transaction(self) -> AbstractContextManager[Rows]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[Rows]:
        error = LedgerUnavailable("the disk is full")
        if self.broken:
            raise error
        with self.store.transaction() as rows:
            yield rows
            if self.commits_fail:
                raise error
        if self.commits_lie:
            raise error


@pytest.fixture
def flaky(store: Store) -> Flaky:
    return Flaky(store)


@dataclass
class Office:
    """A ledger with desks at it, each as one process has it, worked by hand."""

    open_store: OpenStore
    clock: Clock
    graveyard: Graveyard = field(default_factory=Graveyard)

    def desk(self, name: str = "one", store: Store | None = None) -> LedgerDesk:
        process = FakeProcess(name, self.graveyard)
        return LedgerDesk(store or self.open_store(), process, now=self.clock, threaded=False)


@pytest.fixture
def office(open_store: OpenStore, clock: Clock) -> Office:
    return Office(open_store, clock)


def define(store: Store, *what: Account | LimitRecord, owner: str = "setup") -> None:
    """Tell the ledger of budgets and limits."""
    with store.transaction() as rows:
        batch = Batch(rows, owner)
        for each in what:
            if isinstance(each, Account):
                batch.register(each)
            else:
                batch.define(each)
        batch.write()


def demand(
    call_id: str,
    accounts: tuple[str, ...] = ("team",),
    limits: tuple[str, ...] = ("llm",),
    bound: Bound = BOUND,
    **who: Any,
) -> Demand:
    return Demand(call_id, accounts, limits, bound, Attribution(**who))


def purse_of(store: Store, account: str = "team", label: str | None = None) -> tuple[int, int, int]:
    """(spent, unconfirmed, reserved) in nano-dollars."""
    known = store.read_purse(account, label)
    assert known is not None
    purse = known[1]
    return purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano


def in_flight(store: Store, limit: str = "llm") -> int:
    gate = store.read_gate(limit)
    assert gate is not None
    return gate.in_flight
