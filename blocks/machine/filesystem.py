"""Where a ledger's file is: SQLite's log does not work across a network, and a file that is removed
while it is open is written to all the same."""

import os
import re
from pathlib import Path

from prefect_governor.blocks.errors import LedgerUnavailable

_MOUNTS = Path("/proc/self/mountinfo")
# By the kernel's names; those of FUSE have a dot.
NETWORK = frozenset(
    [
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph-fuse", "fuse.cephfs",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.mount-s3", "fuse.rclone",
        "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
        "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
    ]
)  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


def filesystem_of(path: str, mountinfo: str) -> str | None:
    """The type of the filesystem that an absolute path is on, by the text of `mountinfo`; None
    where no mount is above it. Of mounts on one folder the last one is on top."""
    best, found = -1, None
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        columns, kind = before.split(" "), after.split(" ")[0]
        if not dash or len(columns) < 5:
            continue
        folder = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), columns[4])
        inside = path == folder or path.startswith(folder.rstrip("/") + "/")
        if inside and len(folder) >= best:
            best, found = len(folder), kind
    return found


def kind_of(folder: Path) -> str | None:
    """The type of the filesystem that a folder is on; None where the kernel does not say what is
    mounted (other than Linux)."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return filesystem_of(os.path.realpath(folder), mounts)


def refuse_network(path: Path) -> None:
    """Raises LedgerUnavailable, with the fix, for a ledger's file on a network filesystem.

    Where the kernel does not say what is mounted nothing is refused.
    """
    kind = kind_of(path.parent)
    if kind in NETWORK:
        raise LedgerUnavailable(
            f"the ledger {path} is on a network filesystem ({kind}), where two machines could each"
            " spend the whole ceiling; no call is let through. Set PREFECT_HOME to a folder on a"
            " local disk, or share a ledger between machines with the governor's ledger_url"
            " (PostgreSQL)"
        )


class Place:
    """A file that must stay the one that was opened.

    Whoever has a removed file open goes on writing to it, while others make a new one: two ledgers,
    two ceilings.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = _identity(path)

    def check(self) -> None:
        """Raises LedgerUnavailable, with the fix, where it is gone or another."""
        found = _identity(self._path)
        if found is None:
            raise LedgerUnavailable(
                f"the ledger {self._path} was removed while it is in use; no call is let through."
                " Put it back (with its -wal file), or end all processes that use it to begin a"
                " new one"
            )
        if found != self._opened:
            raise LedgerUnavailable(
                f"the ledger {self._path} was replaced by another file while it is in use; no call"
                " is let through. End this process to go on with the new one"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
