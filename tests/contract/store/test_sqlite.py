"""The ledger in a file: refused with the fix where it cannot be used, whole after a failure."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerFull, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Lease
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.ledger.sqlite import store as sqlite_module
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from tests.contract.conftest import USAGE, define, in_flight, purse_of
from tests.contract.store.calls import KEY, admit, settle
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import SECOND, Clock

# When it cannot be used


def refusal(path: Path) -> str:
    with pytest.raises(LedgerUnavailable) as refused:
        SQLiteStore(path)
    return str(refused.value)


def test_a_ledger_of_a_newer_release_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    SQLiteStore(path).close()
    newest = migrations("sqlite")[-1][0]
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newest + 1}")
    connection.close()
    text = refusal(path)
    assert f"schema {newest + 1}" in text and f"knows {newest}" in text
    assert "upgrade" in text and "pip install -U prefect-governor" in text


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    numbers = [number for number, _ in migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))
    path = tmp_path / "ledger.db"
    first = SQLiteStore(path)
    again = SQLiteStore(path)
    assert again.ledger_id == first.ledger_id
    first.close()
    again.close()


def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database" * 100)
    text = refusal(path)
    assert str(path) in text and "not a database" in text and "no call is let through" in text


@pytest.mark.parametrize("what", ["folder is a file", "file is a folder"])
def test_a_place_where_no_ledger_can_be_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "folder" / "ledger.db"
    if what == "file is a folder":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("in the way")
    assert str(path) in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_ledger_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    SQLiteStore(path).close()
    path.chmod(0o400)
    assert "writable" in refusal(path)


def test_a_refused_ledger_leaves_no_open_files(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database" * 100)
    refusal(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refusal(path)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_replies_are_for_their_user_alone(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "state" / "ledger.db"
    before = os.umask(umask)
    try:
        store = SQLiteStore(path)
    finally:
        os.umask(before)
    assert {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.turn"} == {*modes_of(path)}
    assert {*modes_of(path).values()} == {0o600}
    # As an earlier release may have left them.
    for each in path.parent.iterdir():
        each.chmod(0o644)
    again = SQLiteStore(path)
    modes = modes_of(path)
    assert {modes[f"ledger.db{end}"] for end in ("", "-wal", "-shm")} == {0o600}
    again.close()
    store.close()


def modes_of(path: Path) -> dict[str, int]:
    """Of a ledger's file and all beside it."""
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}


def test_a_closed_store_is_unavailable_and_opens_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "ledger.db")
    store.close()
    with pytest.raises(LedgerUnavailable), store.transaction():
        pass
    with pytest.raises(LedgerUnavailable):
        store.read_reply(KEY)
    with pytest.raises(LedgerUnavailable):
        store.changed()
    store.close()


def test_after_a_commit_that_failed_the_next_one_works(tmp_path: Path, clock: Clock) -> None:
    """What a failed COMMIT leaves open must not poison what comes after."""
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, LLM)
    with store.transaction() as rows:
        rows._db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        rows._db.execute("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        connection = rows._db
    # A deferred constraint fails at COMMIT itself and leaves the transaction open.
    connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), store.transaction() as rows:
        rows.put_item("run", "key", "hash", "{}")
        rows._db.execute("INSERT INTO child VALUES (1)")
    assert store.read_items("run") == {}
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)
    store.close()


def test_after_a_full_disk_the_next_transaction_works(tmp_path: Path, clock: Clock) -> None:
    """SQLite rolls back by itself then: a second ROLLBACK must not hide why."""
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, LLM)
    with pytest.raises(LedgerFull, match="make room in"), store.transaction() as rows:
        (pages,) = rows._db.execute("PRAGMA page_count").fetchone()
        rows._db.execute(f"PRAGMA max_page_count = {pages}")
        rows.put_item("run", "key", "hash", "x" * 10**6)
    assert store.read_items("run") == {}
    with store.transaction() as rows:
        rows._db.execute("PRAGMA max_page_count = 1000000")
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)
    store.close()


def test_after_a_reboot_rates_and_holds_are_dropped_leases_admit_nobody_and_money_stays(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = LimitRecord("llm", "llm", 2, (Rate("requests", 1),))
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, terms)
    admit(store, "a")
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.throttle(("llm",), 60)
        batch.write()
        rows.put_lease(Lease("lease", "llm", "server", 3, clock.boot + SECOND))
    store.close()
    monkeypatch.setattr(sqlite_module, "boot_id", lambda: "the next boot")
    again = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(again, terms)
    gate = again.read_gate("llm")
    assert gate is not None
    assert (gate.hold_until, gate.meters[0].taken, gate.in_flight) == (0, {}, 1)
    assert purse_of(again) == (0, 0, 100)
    with again.transaction() as rows:
        # Whoever keeps it gives it back: the server may hold its slots taken still.
        assert rows.leases("llm") == [Lease("lease", "llm", "server", 3, 0)]
    again.close()


# An older ledger


def test_a_ledger_of_the_first_release_opens_with_all_that_it_holds(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.db"
    old = sqlite3.connect(path)
    number, sql = migrations("sqlite")[0]
    old.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
    old.executescript(
        """
        INSERT INTO accounts VALUES ('team', 'Team', 1000, NULL, 'total', 'UTC', '1', 'total');
        INSERT INTO purses VALUES ('team', 'total', 40, 100, 100, 30, 50, 50);
        INSERT INTO limits VALUES ('llm', 'llm', 2, NULL, 0, 1, 2, 0, 0, '[]');
        INSERT INTO owners VALUES ('one', 7, 'a boot', 1);
        INSERT INTO reservations (call_id, owner, state, bound_nano, bound_input_tokens,
            bound_output_tokens, spent_nano, input_tokens, output_tokens, cached_input_tokens,
            accounts, gates, created_wall, resolved_wall, tags)
        VALUES
            ('spent', 'one', 'spent', 100, 30, 20, 40, 25, 5, 10,
             '[["team", "total"]]', '[["llm", []]]', 1, 2, '[]'),
            ('open', 'one', 'reserved', 100, 30, 20, NULL, NULL, NULL, NULL,
             '[["team", "total"]]', '[["llm", []]]', 2, NULL, '["x"]'),
            ('lost', 'one', 'unconfirmed', 100, 30, 20, NULL, NULL, NULL, NULL,
             '[["team", "total"]]', '[["llm", []]]', 3, 4, '[]');
        """
    )
    old.close()
    store = SQLiteStore(path, now=clock)
    assert purse_of(store) == (40, 100, 100)
    calls = store.read_calls(["spent", "reserved", "unconfirmed"], account="team")
    assert [(each.call_id, each.observed, each.request_id) for each in calls] == [
        ("spent", None, None), ("open", None, None), ("lost", None, None)
    ]  # fmt: skip
    assert calls[0].usage == USAGE and calls[1].attribution.tags == ("x",) and calls[1].pid == 7
    assert settle(store, "open") and settle(store, "lost")
    assert (purse_of(store), in_flight(store)) == ((120, 0, 0), 0)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.allocate(Allocation("alloc/a", "a", (("team", ""),)), "a", Bound(880, 0, 0))
        batch.write()
        (owner,) = rows.owners()
        assert owner.renewed == 0, "one that never said so is not taken for lost"
    known = store.read_purse("team")
    assert known is not None and known[1].allocated_nano == 880
    store.close()
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    assert version == migrations("sqlite")[-1][0] >= 2


# A turn that does not come


def test_a_turn_that_does_not_come_is_an_error_that_names_who_holds_it(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.db"
    before = turn_threads()
    holds = SQLiteStore(path, now=clock)
    waits = SQLiteStore(path, now=clock, turn_timeout_seconds=0.2)
    define(holds, TEAM, LLM)
    with holds.transaction(), pytest.raises(LedgerUnavailable) as refused, waits.transaction():
        pass
    assert f"(process {os.getpid()})" in str(refused.value)
    assert "no call is let through" in str(refused.value)
    # What gave up waiting takes no turn from anybody, though it was left in the line.
    for each in (holds, waits, holds):
        with each.transaction() as rows:
            rows.put_item("run", "key", "hash", "{}")
    for each in (holds, waits):
        each.close()
    # Those that have come leave; other tests' stores are no matter of this one.
    for thread in turn_threads() - before:
        thread.join(30)
    assert turn_threads() <= before


def turn_threads() -> set[threading.Thread]:
    """Threads that wait for a turn."""
    return {each for each in threading.enumerate() if each.name == "prefect-governor-turn"}
