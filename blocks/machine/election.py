"""Which of the processes that share a folder does the work of all: the one that holds its lock."""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from prefect_governor.blocks.machine.private import make_folder


class Electing(Protocol):
    """Whether this process is elected."""

    def won(self) -> bool: ...

    def close(self) -> None: ...


class Election:
    """A lock that the kernel lets go when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def won(self) -> bool:
        """Whether this process is elected; stands for election where nobody is.

        Raises OSError where the lock cannot be had at all; asking again is safe.
        """
        if self._lock is not None and os.fstat(self._lock).st_nlink == 0:
            # Its file was removed: others would be elected on a new one.
            self.close()
        if self._lock is None:
            make_folder(self._path.parent)
            self._lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Stand down. In a forked child: drop what it inherited; the parent stays elected."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
