"""A keeper of leases between a ledger and a server, with a clock that the test moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from tests.unit.blocks.leases.ledger import KEY, define
from tests.unit.blocks.leases.server import NAME, Server
from tests.unit.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[LedgerDesk]:
    made = LedgerDesk(
        SQLiteStore(tmp_path / "ledger.sqlite", now=clock), Owner(tmp_path / "owners")
    )
    define(made, 8)
    yield made
    made.close()


@pytest.fixture
def keeper(desk: LedgerDesk, server: Server, clock: Clock) -> LimitKeeper:
    return LimitKeeper(desk, server, key=KEY, name=NAME, now=clock)
