"""A release whose reply is lost: the slots that it freed are never freed again, as they may be
somebody else's by then."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.leases.prefect_limits import PrefectLimits, impatient
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.leases.lossy import LossyProxy
from tests.unit.blocks.leases.ledger import KEY, ask, define, leased, rows
from tests.unit.clocks import Clock

CAP = 8
THEIRS = 3
RELEASE = "/decrement-with-lease"


@pytest.fixture
def proxy(server: ServerInfo) -> Iterator[LossyProxy]:
    with LossyProxy(server.url) as made, temporary_settings({PREFECT_API_URL: made.url}):
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[LedgerDesk]:
    made = LedgerDesk(
        SQLiteStore(tmp_path / "ledger.sqlite", now=clock), Owner(tmp_path / "owners")
    )
    define(made, CAP)
    yield made
    made.close()


def test_release_whose_reply_is_lost_frees_nothing_of_an_outsiders(
    client: SyncPrefectClient, proxy: LossyProxy, desk: LedgerDesk, clock: Clock
) -> None:
    name = f"governor:lost-{uuid4().hex[:8]}:llm"

    def taken() -> int:
        return client.read_global_concurrency_limit_by_name(name).active_slots or 0

    def heir() -> LimitKeeper:
        """Whoever is elected next: what was asked for is in the ledger."""
        return LimitKeeper(desk, PrefectLimits(patient=False), key=KEY, name=name, now=clock)

    with impatient():
        keeper = heir()
        ask(desk, 4)
        keeper.tick()
        ours = leased(desk)
        assert taken() == ours == 5
        client.increment_concurrency_slots_with_lease(
            names=[name], slots=THEIRS, mode="concurrency", lease_duration=600
        )
        ask(desk, 0)
        keeper.tick()
        clock.pass_(2)
        proxy.lose.add(RELEASE)
        seen = []
        for at in range(4 * ours):
            try:
                (keeper if at % 2 else heir()).tick()
            except ServerAway as away:
                assert not away.undone
            seen.append(taken())
            clock.pass_(2)
            if not rows(desk):
                break
    print(f"\n{proxy.lost[RELEASE]} replies to releases lost; slots taken after each tick: {seen}")
    assert proxy.lost[RELEASE] == ours
    assert (rows(desk), taken()) == ([], THEIRS)
    assert min(seen) == THEIRS
