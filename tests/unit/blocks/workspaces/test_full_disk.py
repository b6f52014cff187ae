"""A disk that is full, in bytes or in inodes: it is said, and nothing half-written is left."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.workspaces.unpacking import unpack_into
from prefect_governor.blocks.workspaces.workspace import Workspace
from tests.unit.blocks.workspaces.hostile import archive, member

KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """256 KiB and 16 inodes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = "size=256k,nr_inodes=16,mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_an_archive_that_fills_the_disk_leaves_whole_files_only(disk: Path) -> None:
    with pytest.raises(OSError) as caught:
        unpack_into(disk, archive(member("a", b"1"), member("sub/big", bytes(300 * KIB))))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "sub/big")
    assert sorted(os.listdir(disk)) == ["a", "sub"] and os.listdir(disk / "sub") == []
    with pytest.raises(OSError) as caught:
        unpack_into(disk, archive(*(member(f"f{at}", b"") for at in range(20))))
    assert caught.value.errno == errno.ENOSPC
    assert not [name for name in os.listdir(disk) if name.startswith(".partial")]


def test_outputs_that_fill_the_disk_leave_those_of_the_earlier_attempt(
    disk: Path, tmp_path: Path
) -> None:
    into = disk / "files" / "item"
    (tmp_path / "root").mkdir()
    with Workspace(tmp_path / "root", "item") as workspace:
        (tmp_path / "root" / "out").write_text("first")
        workspace.collect(into)
        (tmp_path / "root" / "out").write_bytes(bytes(300 * KIB))
        with pytest.raises(OSError) as caught:
            workspace.collect(into)
    assert caught.value.errno == errno.ENOSPC
    assert (into / "out").read_text() == "first" and os.listdir(into.parent) == ["item"]
