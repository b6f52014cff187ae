"""What only the ledger on PostgreSQL has: a secret URL, sessions, the server's clock and word."""

import logging
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.ledger import migration
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.ledger.postgres.link import parse
from prefect_governor.blocks.ledger.postgres.owner import GRACE_SECONDS, PostgresOwner
from prefect_governor.blocks.ledger.postgres.pulse import CHANNEL
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound
from tests.postgres import PASSWORD, PostgresServer, shared_server

HOUR = 3600 * 10**9
NEVER = 1e9


@pytest.fixture
def postgres_server() -> PostgresServer:
    return shared_server()


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.schema_url()


def write(store: PostgresStore, key: str = "team") -> None:
    with store.transaction() as rows:
        rows.put_account(Account(key, key, 5, None))


def soon(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.005)
    return found


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child; its exit status is 0 where nothing was raised."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


# The URL is a secret


def wrong(postgres_server: PostgresServer, kind: str) -> str:
    port = postgres_server.port
    return {
        "password": f"postgresql://ledger:hunter2secret@127.0.0.1:{port}/postgres",
        "user": f"postgresql://hunter2secret:hunter2secret@127.0.0.1:{port}/postgres",
        "port": "postgresql://ledger:hunter2secret@127.0.0.1:1/postgres",
        "database": f"postgresql://ledger:{PASSWORD}@127.0.0.1:{port}/nowhere",
        "slash": "postgresql://ledger:hunter/2secret@127.0.0.1/postgres",
        "number and slash": "postgresql://ledger:12/hunter2secret@127.0.0.1/postgres",
        "number and hash": "postgresql://ledger:12#hunter2secret@127.0.0.1/postgres",
        "question": "postgresql://ledger:12?hunter2secret@127.0.0.1/postgres",
        "percent": "postgresql://ledger:hunter2secret%zz@127.0.0.1/postgres",
        "scheme": "mysql://ledger:hunter2secret@127.0.0.1/postgres",
        "nonsense": "hunter2secret",
        "schema": f"postgresql://ledger:hunter2secret@127.0.0.1:{port}/postgres?schema=A;hunter2secret",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["password", "user", "port", "database", "slash", "number and slash", "number and hash",
     "question", "percent", "scheme", "nonsense", "schema"],
)  # fmt: skip
def test_no_error_tells_the_url(
    postgres_server: PostgresServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = wrong(postgres_server, kind)
    caplog.set_level(logging.DEBUG)
    for make in (PostgresStore, PostgresOwner):
        with pytest.raises((ConfigurationError, LedgerUnavailable)) as told:
            make(given)
        told_all = f"{told.getrepr(chain=True)} {told.value!r} {caplog.text}"
        for line in told_all.splitlines():
            # The frames of this test itself hold what it was given.
            if "given" not in line and "kind" not in line:
                assert given not in line
        text = str(told.value)
        assert "hunter" not in text and "2secret" not in text and PASSWORD not in text
        # What the driver said is not shown below it.
        assert told.value.__cause__ is None
        assert told.value.__context__ is None or told.value.__suppress_context__


def test_nothing_that_can_be_printed_tells_the_url(url: str) -> None:
    store, owner = PostgresStore(url), PostgresOwner(url)
    assert PASSWORD not in f"{store!r} {store} {owner!r} {owner} {store._link!r} {store._link}"
    assert "127.0.0.1" in repr(store)
    owner.release()
    store.close()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("postgresql://u:p%40ss@db.example:5433/team", "PostgreSQL at db.example, database team"),
        ("postgres://u@/team?host=/run/pg", "PostgreSQL at /run/pg, database team"),
        ("postgresql://u:p@a:1,b:2/t?target_session_attrs=read-write",
         "PostgreSQL at a,b, database t"),
        ("postgresql://u:p@[::1]:5432/t", "PostgreSQL at ::1, database t"),
    ],
)  # fmt: skip
def test_every_url_that_libpq_takes_is_taken(given: str, place: str) -> None:
    link = parse(given)
    assert (link.place, link.schema) == (place, "prefect_governor")
    named = parse(f"{given}{'&' if '?' in given else '?'}schema=other")
    assert (named.schema, named.url) == ("other", link.url)
    assert named.lock != link.lock


def test_without_psycopg_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for make in (PostgresStore, PostgresOwner):
        with pytest.raises(ConfigurationError, match=r"pip install 'prefect-governor\[postgres\]'"):
            make("postgresql://u:p@h/d")


# Several ledgers, first opens, migrations


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
            (folder / dialect / f"{number:04}_later.sql").write_text(
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


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PostgresStore(url).close()
    folder = tmp_path / "migrations"
    shutil.copytree(migration.FOLDER, folder)
    (folder / "postgres" / "9999_broken.sql").write_text(
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


# Waking


def test_whoever_waits_is_woken_by_the_servers_word(url: str) -> None:
    store, other = PostgresStore(url, poll_seconds=NEVER), PostgresStore(url)
    assert not store.changed()
    for _ in range(3):
        write(other)
        assert soon(store.changed)
        assert not store.changed()
    write(store)
    assert not soon(store.changed, 0.1), "its own writes wake nobody"
    store.close()
    other.close()


def test_without_the_servers_word_a_slow_poll_finds_what_was_written(
    url: str, postgres_server: PostgresServer
) -> None:
    store, other = PostgresStore(url, poll_seconds=0.05), PostgresStore(url)
    assert not store.changed()
    # As if nobody had said that they wait.
    schema = store._link.schema
    postgres_server.sql(f"UPDATE {schema}.listeners SET until = '-infinity'")
    write(other)
    assert soon(store.changed)
    store.close()
    other.close()


def test_nothing_is_told_where_nobody_waits(url: str, postgres_server: PostgresServer) -> None:
    import psycopg

    store, other = PostgresStore(url), PostgresStore(url)
    with psycopg.connect(postgres_server.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        write(other)
        store.changed()
        write(other)
        told = [each.payload for each in listener.notifies(timeout=10, stop_after=1)]
        told += [each.payload for each in listener.notifies(timeout=0.1)]
    assert len(told) == 1 and told[0].startswith(store._link.schema)
    store.close()
    other.close()


# The clock


def test_the_ledgers_clock_never_goes_back_with_the_servers(
    url: str, postgres_server: PostgresServer
) -> None:
    store = PostgresStore(url)
    with store.transaction() as rows:
        rows.put_account(Account("team", "team", 5, None))
        before = rows.now
    # An hour ago by the server: what was written last lies an hour ahead of it now.
    schema = store._link.schema
    postgres_server.sql(f"UPDATE {schema}.clock SET latest = latest + {HOUR}")
    seen: list[Instant] = []
    for _ in range(3):
        write(store)
        with store.transaction() as rows:
            seen.append(rows.now)
    assert before.boot + HOUR <= seen[0].boot < seen[1].boot < seen[2].boot
    assert seen[2].boot - seen[0].boot < 60 * 10**9, "it goes on, and does not stand still"
    assert abs(seen[2].wall - before.wall) < 60 * 10**9, "windows are the server's wall clock's"
    store.close()


def test_between_transactions_the_clock_is_the_servers_and_never_ahead_of_it(url: str) -> None:
    store = PostgresStore(url)
    for _ in range(5):
        guessed = store.now()
        with store.transaction() as rows:
            assert 0 <= rows.now.boot - guessed.boot < 5 * 10**9
    store.close()


# What PostgreSQL cannot keep


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800", 'quote " and \\u0000', "ü→🜂"])
def test_no_text_of_one_call_fails_the_batch_of_all(url: str, text: str) -> None:
    from prefect_governor.blocks.ledger.decision.batch import Batch
    from prefect_governor.blocks.records.calls import Demand

    store = PostgresStore(url)
    write(store)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        who = Attribution(label=text, tags=(text,), user=text)
        batch.admit(Demand("a", ("team",), (), Bound(1, 1, 1), who))
        batch.write()
        rows.put_item("run", text, "hash", text)
    (label,) = store.read_spend("label", {})
    assert label is not None and label[0] == text[0]
    assert len(store.read_items("run")) == 1
    store.close()


# Sessions


def aged(url: str) -> PostgresOwner:
    """An owner whose session is old enough to tell the dead."""
    moments = iter([0.0])
    return PostgresOwner(url, clock=lambda: next(moments, GRACE_SECONDS))


def test_death_is_a_fact_and_a_stopped_process_is_alive(url: str) -> None:
    read, told = os.pipe()

    def spend() -> None:
        owner = PostgresOwner(url)
        os.write(told, owner.id.encode())
        signal.pause()

    pid = fork(spend)
    victim = os.read(read, 32).decode()
    prober = aged(url)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert soon(lambda: prober.is_dead(victim))
    assert not prober.is_dead(prober.id)
    prober.bury(victim)
    prober.release()
    os.close(read)
    os.close(told)


def test_a_clean_end_is_a_death(url: str) -> None:
    owner, prober = PostgresOwner(url), aged(url)
    assert not prober.is_dead(owner.id)
    owner.release()
    assert soon(lambda: prober.is_dead(owner.id))
    with pytest.raises(LedgerUnavailable, match="released"):
        owner.is_dead(prober.id)
    prober.release()


def test_a_session_that_is_young_holds_nobody_for_dead(url: str) -> None:
    """A server that was started again has lost every session, of the living too."""
    now = [0.0]
    prober = PostgresOwner(url, clock=lambda: now[0])
    assert not prober.is_dead("nobody")
    now[0] = GRACE_SECONDS - 0.1
    assert not prober.is_dead("nobody")
    now[0] = GRACE_SECONDS
    assert prober.is_dead("nobody")
    prober.release()


def cut(postgres_server: PostgresServer, owner: PostgresOwner) -> None:
    """End an owner's session, as the server does when the network is gone."""
    assert owner._session is not None
    pid = owner._session.info.backend_pid
    postgres_server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_session_that_was_cut_is_dead_to_others_until_it_is_taken_again(
    url: str, postgres_server: PostgresServer
) -> None:
    owner, prober = aged(url), aged(url)
    cut(postgres_server, owner)
    assert prober.is_dead(owner.id)
    known = owner.id
    assert not owner.is_dead(owner.id), "to itself it is not dead"
    assert owner.id == known
    assert not prober.is_dead(owner.id)
    owner.release()
    prober.release()


def test_a_prober_that_was_cut_itself_cannot_tell(
    url: str, postgres_server: PostgresServer
) -> None:
    now = [0.0]
    prober = PostgresOwner(url, clock=lambda: now[0])
    now[0] = GRACE_SECONDS
    assert prober.is_dead("nobody")
    cut(postgres_server, prober)
    assert not prober.is_dead("nobody")
    now[0] += GRACE_SECONDS
    assert prober.is_dead("nobody")
    prober.release()


# Forks


def test_a_child_speaks_on_no_session_of_its_parents(url: str) -> None:
    store, owner, prober = PostgresStore(url), PostgresOwner(url), aged(url)
    write(store)
    store.changed()

    def child() -> None:
        # What it inherits works on a session of its own, and ends nothing of the parent's.
        write(store, "of the child")
        assert store.read_purse("team") is not None
        store.close()
        owner.release()

    assert store._writer is not None
    before = store._writer.info.backend_pid
    for _ in range(3):
        assert ended_well(fork(child))
    write(store)
    assert store._writer is not None and store._writer.info.backend_pid == before
    assert store.read_purse("of the child") is not None
    assert not prober.is_dead(owner.id)
    for each in (owner, prober):
        each.release()
    store.close()


def test_a_child_that_lives_on_does_not_hide_its_parents_death(url: str) -> None:
    """A socket that stays open somewhere keeps the session, and the claim, for ever."""
    read, told = os.pipe()

    def parent() -> None:
        owner = PostgresOwner(url)
        child = fork(lambda: signal.pause())
        os.write(told, f"{owner.id} {child}".encode())
        signal.pause()

    pid = fork(parent)
    victim, child = os.read(read, 100).decode().split()
    prober = aged(url)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        assert soon(lambda: prober.is_dead(victim))
        os.kill(int(child), 0)
    finally:
        os.kill(int(child), signal.SIGKILL)
    prober.release()
    os.close(read)
    os.close(told)


def test_a_fork_in_the_midst_of_transactions_leaves_both_sides_working(url: str) -> None:
    store = PostgresStore(url)
    stop, failures = threading.Event(), list[Any]()

    def spend() -> None:
        while not stop.is_set():
            try:
                write(store)
                store.changed()
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=spend)
    thread.start()
    children = [fork(lambda: write(store, "of a child")) for _ in range(8)]
    assert all([ended_well(pid) for pid in children])
    stop.set()
    thread.join()
    assert not failures
    assert store.read_purse("of a child") is not None
    store.close()
