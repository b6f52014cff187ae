"""Who spends: a process with a lock that the kernel lets go when it dies."""

import fcntl
import os
import uuid
from pathlib import Path

from prefect_governor.blocks.machine.private import make_folder


class Owner:
    """This process, as the ledger knows it.

    Its lock is held on an open file: however the process ends, the kernel releases it, so death is
    a fact and never a guess. A child that was forked does not inherit the claim.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._folder = folder
        self.id = uuid.uuid4().hex
        self.pid = os.getpid()
        self._path = folder / f"{self.id}.lock"
        self._lock: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def is_dead(self, owner: str) -> bool:
        """Whether the process behind another owner's id has ended."""
        if owner == self.id:
            return False
        try:
            lock = os.open(self._folder / f"{owner}.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # The file goes only after its owner's calls were resolved, or with the whole folder.
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    def bury(self, owner: str) -> None:
        """Remove a dead owner's lock file, once the ledger has forgotten it."""
        (self._folder / f"{owner}.lock").unlink(missing_ok=True)

    def forget(self) -> None:
        """In a forked child: drop the parent's lock without releasing it for the parent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def release(self) -> None:
        """At a clean end. In a forked child the parent's claim stands."""
        if os.getpid() == self.pid:
            self._path.unlink(missing_ok=True)
        self.forget()
