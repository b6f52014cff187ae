"""Several ledgers, first opens, and migrations with all that is in a ledger."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger import migration
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.calls import Bound
from tests.integration.ledger.watch import write
from tests.postgres import PostgresServer


def test_ledgers_in_one_database_know_nothing_of_each_other(
    postgres_server: PostgresServer,
) -> None:
    one, two = (PostgresStore(postgres_server.schema_url()) for _ in range(2))
    assert one.ledger_id != two.ledger_id
    with one.transaction():
        # Neither waits for the other's lock.
        write(two)
    assert one.read_purse("team") is None
    one.close()
    two.close()


def test_first_opens_at_once_make_one_ledger(url: str) -> None:
    stores: list[PostgresStore] = []
    start = threading.Barrier(6)

    def open_it() -> None:
        start.wait()
        stores.append(PostgresStore(url))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 6 and len({store.ledger_id for store in stores}) == 1
    for store in stores:
        store.close()


@pytest.fixture
def later_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, this is a release with one more migration of each dialect."""

    def release() -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migration.FOLDER, folder)
        for dialect in ("sqlite", "postgres"):
            number = migrations(dialect)[-1][0] + 1
            (folder / dialect / "migrations" / f"{number:04}_later.sql").write_text(
                "ALTER TABLE items ADD COLUMN later TEXT;\n"
                "CREATE TABLE later (id INTEGER PRIMARY KEY);\n"
            )
        monkeypatch.setattr(migration, "FOLDER", folder)

    return release


def test_an_old_ledger_is_migrated_with_all_that_is_in_it(
    url: str, later_release: Callable[[], None]
) -> None:
    old = PostgresStore(url)
    write(old)
    later_release()
    new = PostgresStore(url)
    assert new.ledger_id == old.ledger_id
    known = new.read_purse("team")
    assert known is not None and known[0].ceiling_nano == 5
    with new.transaction() as rows:
        rows._db.execute("INSERT INTO later VALUES (1)")
    # A process of the old release that is still there goes on.
    write(old, "another")
    assert new.read_purse("another") is not None
    PostgresStore(url).close()
    new.close()
    old.close()


def test_a_newer_ledger_is_refused_in_an_older_release_with_the_fix(
    url: str, later_release: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = migrations("postgres")[-1][0]
    with monkeypatch.context() as only_now:
        only_now.setattr(migration, "FOLDER", migration.FOLDER)
        later_release()
        PostgresStore(url).close()
        monkeypatch.undo()
    with pytest.raises(LedgerUnavailable) as told:
        PostgresStore(url)
    assert f"schema {newest + 1}, this release knows {newest}" in str(told.value)
    assert "pip install -U prefect-governor" in str(told.value)


def says(dialect: str, folder: Path, number: int, floor: str) -> None:
    """A migration of a later release that lets releases of a schema spend beside it."""
    (folder / dialect / "migrations" / f"{number:04}_later.sql").write_text(
        "CREATE TABLE later (id INTEGER PRIMARY KEY);\n"
        f"UPDATE meta SET value = '{floor}' WHERE key = 'floor';\n"
    )


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
@pytest.mark.parametrize(("above", "said", "lets"), [
    (0, 1, True), (1, 1, False), (-1, 1, True), (0, 0, False),
])  # fmt: skip
def test_a_newer_ledger_lets_older_releases_spend_down_to_its_floor_and_no_further(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
    above: int,
    said: int,
    lets: bool,
) -> None:
    """`above`: how far the floor is above this release's schema; `said`: whether it is of the
    ledger's last migration."""
    newest = migrations(dialect)[-1][0]
    folder = tmp_path / "migrations"
    shutil.copytree(migration.FOLDER, folder)
    says(dialect, folder, newest + 1, f"{newest + said} {newest + above}")

    def opened() -> PostgresStore | SQLiteStore:
        path = tmp_path / "ledger" / "ledger.sqlite"
        return PostgresStore(url) if dialect == "postgres" else SQLiteStore(path)

    running = opened()
    with monkeypatch.context() as later:
        later.setattr(migration, "FOLDER", folder)
        opened().close()
    # One of this release that is at work goes on, whatever is said.
    write(running)
    running.close()
    if not lets:
        with pytest.raises(LedgerUnavailable, match=r"pip install -U prefect-governor"):
            opened()
        return
    again = opened()
    write(again, "another")
    assert again.read_purse("another") is not None
    again.close()


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PostgresStore(url).close()
    folder = tmp_path / "migrations"
    shutil.copytree(migration.FOLDER, folder)
    (folder / "postgres" / "migrations" / "9999_broken.sql").write_text(
        "DROP TABLE purses;\nSELECT no_such_function();\n"
    )
    with monkeypatch.context() as broken:
        broken.setattr(migration, "FOLDER", folder)
        with pytest.raises(LedgerUnavailable, match="no_such_function"):
            PostgresStore(url)
    store = PostgresStore(url)
    write(store)
    assert store.read_purse("team") is not None
    store.close()


def test_a_sqlite_ledger_of_the_first_release_is_migrated_with_all_that_is_in_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    old = sqlite3.connect(path)
    old.executescript(f"{migrations('sqlite')[0][1]}\nPRAGMA user_version = 1;")
    old.execute(
        'INSERT INTO accounts (key, name, ceiling_nano, "window", time_zone, version)'
        " VALUES ('team', 'Team', 1000, 'total', 'UTC', '1')"
    )
    old.execute("INSERT INTO purses VALUES ('team', 'total', 40, 0, 100, 7, 0, 9)")
    old.execute(
        "INSERT INTO reservations (call_id, owner, state, bound_nano, bound_input_tokens,"
        " bound_output_tokens, accounts, gates, created_wall, tags)"
        " VALUES ('a', 'one', 'reserved', 100, 4, 5, '[[\"team\", \"total\"]]', '[]', 1, '[]')"
    )
    old.commit()
    old.close()
    store = SQLiteStore(path)
    known = store.read_purse("team")
    assert known is not None
    assert (known[1].spent_nano, known[1].reserved_nano, known[1].spent_tokens) == (40, 100, 7)
    with store.transaction() as rows:
        found = rows.reservations(["a"])["a"]
    assert (found.bound, found.state, found.purses) == (
        Bound(100, 4, 5), "reserved", (("team", "total"),)
    )  # fmt: skip
    store.close()
    with sqlite3.connect(path) as again:
        (version,) = again.execute("PRAGMA user_version").fetchone()
    again.close()
    assert version == migrations("sqlite")[-1][0]
