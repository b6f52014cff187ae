"""A ledger in a file that is full, locked, read-only, damaged, gone or on a network filesystem."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.ledger.sqlite.turn import Turn
from prefect_governor.blocks.machine import filesystem
from prefect_governor.blocks.machine.filesystem import filesystem_of
from tests.integration.ledger.faults import begin, fill, goes_on, refused


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
    assert "make room in" in refused(store, padding="x" * 10**6)
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
