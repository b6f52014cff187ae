"""A ledger that is full, locked, read-only, damaged, on a network filesystem or gone.

Calls are refused, never let through; the error says what to do; after recovery work goes on and no
reservation is lost.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.postgres import link as postgres_link
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.ledger.sqlite.turn import Turn
from prefect_governor.blocks.machine import filesystem
from prefect_governor.blocks.machine.filesystem import filesystem_of
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from tests.postgres import PostgresServer, make_server

BOUND, USAGE = Bound(100, 30, 20), Usage(40, 25, 5)
CEILING = 1000


def begin(store: Store) -> None:
    """A budget with one call in flight, which no fault may lose."""
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.register(Account("team", "Team", CEILING, None, version="1"))
        batch.write()
    admit(store, "in flight")


def admit(store: Store, call_id: str, padding: str = "") -> None:
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        decision = batch.admit(Demand(call_id, ("team",), (), BOUND))
        assert isinstance(decision, Reservation)
        batch.write()
        if padding:
            rows.put_item("run", call_id, "hash", padding)


def refused(store: Store, call_id: str = "refused", padding: str = "") -> str:
    """What the refusal of a call says."""
    with pytest.raises(LedgerUnavailable) as told:
        admit(store, call_id, padding)
    assert "no call is let through" in str(told.value)
    return str(told.value)


def goes_on(store: Store) -> None:
    """What was in flight is there still, nothing that was refused is, and calls are admitted."""
    assert figures(store) == (0, 100)
    admit(store, "after")
    with store.transaction() as rows:
        assert sorted(rows.reservations(["in flight", "refused", "after"])) == [
            "after",
            "in flight",
        ]
        batch = Batch(rows, "one")
        assert batch.settle("in flight", USAGE)
        batch.write()
    assert figures(store) == (40, 100)


def figures(store: Store) -> tuple[int, int]:
    known = store.read_purse("team")
    assert known is not None
    return known[1].spent_nano, known[1].reserved_nano


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


# SQLite


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "state" / "ledger.db", turn_timeout_seconds=0.2)
    begin(opened)
    yield opened
    opened.close()


def test_sqlite_on_a_full_disk_refuses_and_goes_on_once_there_is_room(disk: Path) -> None:
    store = SQLiteStore(disk / "ledger.db")
    begin(store)
    ballast = fill(disk)
    assert "not full" in refused(store, padding="x" * 10**6)
    ballast.unlink()
    goes_on(store)
    store.close()


def test_sqlite_on_a_disk_that_becomes_read_only_refuses_and_goes_on_when_it_is_not(
    disk: Path,
) -> None:
    store = SQLiteStore(disk / "ledger.db")
    begin(store)
    # What is open for writing holds up the change; another process has just opened it.
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(LedgerUnavailable, match="writable"):
        SQLiteStore(disk / "ledger.db")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    again = SQLiteStore(disk / "ledger.db")
    goes_on(again)
    again.close()


def test_sqlite_that_another_process_holds_for_long_refuses_with_who_and_goes_on(
    store: SQLiteStore,
) -> None:
    holder = Turn(store.path.with_suffix(".turn"), timeout_seconds=1)
    holder.take()
    text = refused(store)
    assert f"process {os.getpid()}" in text and "end it" in text
    holder.give()
    holder.close()
    goes_on(store)


def test_sqlite_that_is_damaged_refuses_and_goes_on_with_the_copy(
    store: SQLiteStore, tmp_path: Path
) -> None:
    store.close()
    copy = tmp_path / "copy.db"
    shutil.copy(store.path, copy)
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))
    with pytest.raises(LedgerUnavailable, match="no call is let through") as told:
        SQLiteStore(store.path)
    assert str(store.path) in str(told.value)
    shutil.copy(copy, store.path)
    again = SQLiteStore(store.path)
    goes_on(again)
    again.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_sqlite_whose_file_was_removed_is_never_written_to_unseen(
    store: SQLiteStore, tmp_path: Path, reopened: bool
) -> None:
    """An open file lives on without a name: two processes, two ledgers, two ceilings."""
    if reopened:
        # As after a fork: its connections open again when they are used.
        store.before_fork()
        store.after_fork(in_child=False)
    folder, aside = store.path.parent, tmp_path / "aside"
    folder.rename(aside)
    folder.mkdir()
    assert "Put it back" in refused(store)
    assert os.listdir(folder) in ([], ["ledger.turn"]), "nothing may be made in its place"
    SQLiteStore(store.path).close()
    assert "replaced" in refused(store)
    shutil.rmtree(folder)
    aside.rename(folder)
    goes_on(store)


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw shared:12 - proc proc rw
30 22 0:40 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
31 30 254:1 / /home/me/local rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040space rw master:3 - cifs //server/share rw
33 22 0:42 / /mnt/fuse rw - fuse.sshfs host: rw
34 22 0:43 / /over rw - ext4 /dev/vdc rw
35 34 0:44 / /over rw - 9p host rw
36 22 0:45 / /local rw - fuse.bindfs /x rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/", "ext4"),
        ("/home/me", "nfs4"),
        ("/home", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/me/local/x", "xfs"),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/fuse", "fuse.sshfs"),
        ("/over/x", "9p"),
        ("/local/x", "fuse.bindfs"),
    ],
)
def test_the_filesystem_is_that_of_the_nearest_mount_above(path: str, kind: str) -> None:
    assert filesystem_of(path, MOUNTS) == kind


def test_without_a_mount_above_no_filesystem_is_known() -> None:
    assert filesystem_of("/x", "31 30 254:1 / /home rw - xfs /dev/vdb rw") is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs"])
def test_sqlite_on_a_network_filesystem_is_refused_at_open_with_both_fixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"22 1 0:1 / / rw - ext4 /dev/vda rw\n23 22 0:2 / {tmp_path} rw - {kind} s rw\n"
    )
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(LedgerUnavailable) as told:
        SQLiteStore(tmp_path / "state" / "ledger.db")
    text = str(told.value)
    assert kind in text and "PREFECT_HOME" in text and "ledger_url" in text
    assert not (tmp_path / "state" / "ledger.db").exists()


def test_sqlite_on_a_local_disk_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:1 / / rw - overlay overlay rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    SQLiteStore(tmp_path / "ledger.db").close()


# PostgreSQL


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
