"""A ledger on PostgreSQL that is killed, cut off, held, read-only, full or damaged."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.postgres import link as postgres_link
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.records.calls import Demand
from tests.integration.ledger.faults import BOUND, begin, fill, goes_on, refused
from tests.postgres import PostgresServer, make_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that these tests may kill."""
    started = make_server()
    yield started
    started.stop()


@pytest.fixture
def ledger(server: PostgresServer) -> Iterator[PostgresStore]:
    opened = PostgresStore(server.schema_url())
    begin(opened)
    yield opened
    opened.close()


Setting = Callable[[str, str], None]


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Another timeout for the sessions that are opened from now on."""

    def change(name: str, value: str) -> None:
        monkeypatch.setattr(postgres_link, "_SETTINGS", {**postgres_link._SETTINGS, name: value})

    return change


def test_postgres_killed_and_started_again_loses_nothing(
    server: PostgresServer, ledger: PostgresStore
) -> None:
    server.kill()
    text = refused(ledger)
    assert "127.0.0.1" in text and "server is up" in text
    with pytest.raises(LedgerUnavailable):
        ledger.read_purse("team")
    with pytest.raises(LedgerUnavailable):
        ledger.changed()
    server.start()
    goes_on(ledger)


def test_postgres_killed_in_the_midst_of_a_transaction_keeps_nothing_of_it(
    server: PostgresServer, ledger: PostgresStore
) -> None:
    with pytest.raises(LedgerUnavailable), ledger.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(Demand("refused", ("team",), (), BOUND))
        batch.write()
        server.kill()
    server.start()
    goes_on(ledger)


def test_postgres_whose_session_ended_while_idle_is_not_even_noticed(
    server: PostgresServer, ledger: PostgresStore
) -> None:
    ledger.changed()
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'prefect-governor'"
    )
    goes_on(ledger)
    assert not ledger.changed()


def test_postgres_that_another_session_holds_for_long_refuses_and_goes_on(
    server: PostgresServer, setting: Setting
) -> None:
    setting("lock_timeout", "100ms")
    url = server.schema_url()
    holder, store = PostgresStore(url), PostgresStore(url)
    begin(store)
    with holder.transaction():
        assert "another session has held the ledger's lock" in refused(store)
    goes_on(store)
    holder.close()
    store.close()


def test_postgres_undoes_what_a_process_that_stands_still_has_begun(
    server: PostgresServer, ledger: PostgresStore, setting: Setting
) -> None:
    setting("idle_in_transaction_session_timeout", "100ms")
    frozen = PostgresStore(f"{server.url}?schema={ledger._link.schema}")
    with pytest.raises(LedgerUnavailable), frozen.transaction() as rows:
        batch = Batch(rows, "two")
        batch.admit(Demand("refused", ("team",), (), BOUND))
        batch.write()
        # It stands still here; the others are held up until the server ends its session.
        began = time.monotonic()
        goes_on(ledger)
        assert time.monotonic() - began < postgres_link.TURN_SECONDS / 2
    frozen.close()


def test_postgres_that_takes_no_writes_refuses_and_goes_on_when_it_does(
    server: PostgresServer, ledger: PostgresStore
) -> None:
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    server.reload()
    assert "primary" in refused(ledger)
    with pytest.raises(LedgerUnavailable, match="primary"):
        PostgresStore(server.schema_url())
    server.sql("SET default_transaction_read_only = off", "ALTER SYSTEM RESET ALL")
    server.reload()
    goes_on(ledger)


def test_postgres_on_a_full_disk_refuses_and_goes_on_once_there_is_room(
    server: PostgresServer, ledger: PostgresStore, disk: Path
) -> None:
    server.give(disk)
    schema = ledger._link.schema
    server.sql(
        f"CREATE TABLESPACE small LOCATION '{disk}'",
        f"ALTER TABLE {schema}.items SET TABLESPACE small",
    )
    ballast = fill(disk)
    noise = os.urandom(10**6).hex()
    assert "disk is full" in refused(ledger, padding=noise)
    ballast.unlink()
    goes_on(ledger)
    server.sql(f"ALTER TABLE {schema}.items SET TABLESPACE pg_default", "DROP TABLESPACE small")


def test_postgres_that_is_damaged_refuses_and_goes_on_when_it_is_mended(
    server: PostgresServer, ledger: PostgresStore
) -> None:
    schema = ledger._link.schema
    server.sql(f"ALTER TABLE {schema}.purses RENAME TO lost")
    assert "purses" in refused(ledger)
    server.sql(f"ALTER TABLE {schema}.lost RENAME TO purses")
    goes_on(ledger)


def test_postgres_without_the_right_to_make_a_schema_says_what_to_grant(
    server: PostgresServer,
) -> None:
    server.sql("CREATE ROLE guest LOGIN PASSWORD 'guest-of-the-ledger'")
    url = server.url.replace("ledger:", "guest:").replace(
        server.url.split(":")[2].split("@")[0], "guest-of-the-ledger"
    )
    with pytest.raises(LedgerUnavailable, match="grant") as told:
        PostgresStore(f"{url}?schema=guests")
    assert "guest-of-the-ledger" not in str(told.value)
