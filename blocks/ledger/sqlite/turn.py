"""A process's turn to write to a file, among all processes of the machine: first come, first
served, with an end to the waiting."""

import fcntl
import os
import queue
import threading
from contextlib import suppress
from pathlib import Path

from prefect_governor.blocks.errors import LedgerUnavailable


class _Line:
    """A thread that waits in the kernel's queue: a blocked `flock` cannot be told to stop.

    It is made once and asked again and again; with its file, which is its own from the moment that
    nobody waits for it any longer.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._come: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._told, self._left = threading.Lock(), False
        threading.Thread(target=self._stand, name="prefect-governor-turn", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether the lock came in time. Where it did not, the line is left for good."""
        self._asked.put(True)
        with suppress(queue.Empty):
            return self._come.get(timeout=seconds)
        with self._told:
            self._left = self._come.empty()
        return not self._left and self._come.get()

    def end(self) -> None:
        """End the thread, which waits for nothing now."""
        self._asked.put(False)

    def _stand(self) -> None:
        while self._asked.get():
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX)
            with self._told:
                if self._left:
                    break
                self._come.put(True)
        else:
            return
        # Unlocked by name: a child that was forked meanwhile has the file open too.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)


class Turn:
    """An `flock` on a file of its own. SQLite's own waiting polls and can starve one writer; the
    kernel's queue does not.

    Used by one thread at a time. Whoever holds it has written its process id into the file.

    Args:
        path: the file; made where it is missing.
        timeout_seconds: how long `take` waits.
    """

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        self.path = path
        self._timeout = timeout_seconds
        self._file: int | None = None
        self._line: _Line | None = None
        self._pid = b""

    def take(self) -> None:
        """Wait for the turn.

        Raises LedgerUnavailable when it has not come in time, with who holds it.
        """
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._pid = f"{os.getpid():<20}".encode()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._queue_up(self._file)
        os.pwrite(self._file, self._pid, 0)

    def give(self) -> None:
        """Let the next one go."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Drop the file. In a forked child: the parent's place in the line is not its own."""
        if self._line is not None:
            self._line.end()
            self._line = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _queue_up(self, file: int) -> None:
        self._line = self._line or _Line(file)
        if self._line.wait(self._timeout):
            return
        self._line = None
        self._file = None
        holder = self._holder(file)
        raise LedgerUnavailable(
            f"the ledger {self.path.with_suffix('')} cannot be written: another process has held"
            f" it for {self._timeout:.0f} s{holder}; no call is let through until it"
            " lets go. Look whether that process is stopped or its disk hangs; end it if need be"
        )

    def _holder(self, file: int) -> str:
        with suppress(OSError, ValueError):
            return f" (process {int(os.pread(file, 20, 0))})"
        return ""
