"""Where the workspaces of this machine are: `workspaces/RUN/ITEM` in the folder of the state. Each
is its owner's while that lives, and is removed by the next one where it died.

Of a workspace's folder `files` is the workspace, `home` and `tmp` are for programs, and
`workspace.json` names its owner, who holds a lock on it: the kernel lets go of that when its holder
dies, however it dies.
"""

import fcntl
import json
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.workspaces.names import folder_name
from prefect_governor.blocks.workspaces.removal import remove_tree
from prefect_governor.blocks.workspaces.tree import FOLDER

logger = logging.getLogger(__name__)

_OWNER = "workspace.json"
_FILES, _HOME, _TEMPORARY = "files", "home", "tmp"
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# Of one name at once, and of one that was kept.
_MOST_OF_A_NAME = 10_000


def workspaces_folder() -> Path:
    """Not created here."""
    return state_folder() / "workspaces"


class Place:
    """A workspace's folder, with its lock, of this process from `make` to `release`: of an item of
    a run, where nobody else has one, or has kept one. Where one of its name is in use the name gets
    a number."""

    def __init__(self, run: str, keys: tuple[str, ...], *, keep: bool = False) -> None:
        self._above, self._name = workspaces_folder() / folder_name(run), folder_name(*keys)
        self._keep, self._pid = keep, os.getpid()
        self._told = {"run": run, "item": keys[-1], "pid": self._pid, "keep": keep}
        self._lock = -1
        self._releasing = threading.Lock()
        self.folder = self._above / self._name

    @property
    def files(self) -> Path:
        return self.folder / _FILES

    @property
    def home(self) -> Path:
        return self.folder / _HOME

    @property
    def temporary(self) -> Path:
        return self.folder / _TEMPORARY

    @property
    def inner(self) -> tuple[Path, Path, Path]:
        """All of it that programs write."""
        return self.files, self.home, self.temporary

    def make(self) -> None:
        """Make it, empty. Raises OSError."""
        for number in range(1, _MOST_OF_A_NAME):
            if number > 1:
                self.folder = self._above / f"{self._name}~{number}"
            lock = _taken(self.folder)
            if lock is not None:
                break
        else:
            raise OSError(
                f"{_MOST_OF_A_NAME:,} workspaces are named {self._name!r} in {self._above}"
            )
        self._lock = lock
        _held.add(self)
        try:
            _empty(self.folder)
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(self._told).encode(), 0)
            for each in self.inner:
                os.mkdir(each, 0o700)
        except BaseException:
            self._keep = False
            self.release()
            raise

    def release(self) -> None:
        """Remove it, unless it is to be kept; done once, by the process that made it."""
        with self._releasing:
            lock, self._lock = self._lock, -1
            if lock < 0 or os.getpid() != self._pid:
                return
            _held.discard(self)
            try:
                if not self._keep:
                    _remove(self.folder)
            finally:
                os.close(lock)

    def forsake(self) -> None:
        """In a forked child: the parent's stays the parent's, and is dead when the parent is."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


_held: set[Place] = set()


def _forsake_all() -> None:
    for each in list(_held):
        each.forsake()
    _held.clear()


os.register_at_fork(after_in_child=_forsake_all)


def sweep() -> int:
    """Remove what processes left behind that have died; how many there were. What was to be kept
    stays."""
    swept = 0
    for run in _folders(workspaces_folder()):
        for folder in _folders(run):
            try:
                lock = _taken(folder, make=False)
                if lock is None:
                    continue
                try:
                    _remove(folder)
                    swept += 1
                finally:
                    os.close(lock)
            except OSError as error:
                logger.warning("a workspace that was left cannot be removed: %s", error)
        with suppress(OSError):
            run.rmdir()
    return swept


_swept_by: set[tuple[int, Path]] = set()


def sweep_once() -> None:
    """`sweep`, before the first workspace that this process makes."""
    key = os.getpid(), workspaces_folder()
    if key not in _swept_by:
        _swept_by.add(key)
        sweep()


def _taken(folder: Path, *, make: bool = True) -> int | None:
    """The lock of a place, taken; None where another has it, or has kept it."""
    while True:
        try:
            if make:
                make_folder(folder.parents[1])
                for each in (folder.parent, folder):
                    with suppress(FileExistsError):
                        os.mkdir(each, 0o700)
            lock = os.open(folder / _OWNER, _LOCK, 0o600)
        except FileNotFoundError:
            # The run's last one was removed this moment.
            if make:
                continue
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if os.fstat(lock).st_nlink == 0:
            # It was removed between the two steps: another one is made in its place.
            os.close(lock)
            continue
        if _is_kept(lock):
            os.close(lock)
            return None
        return lock


def _is_kept(lock: int) -> bool:
    try:
        told: Any = json.loads(os.pread(lock, 65_536, 0))
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("keep") is True


def _empty(folder: Path) -> None:
    """Of a place that a dead process left all but the lock."""
    fd = os.open(folder, FOLDER)
    try:
        for name in os.listdir(fd):
            if name != _OWNER:
                remove_tree(fd, name)
    finally:
        os.close(fd)


def _remove(folder: Path) -> None:
    """A place whose lock is held: the lock last."""
    with suppress(FileNotFoundError):
        _empty(folder)
    (folder / _OWNER).unlink(missing_ok=True)
    # Since then it may be another's; then it is not empty.
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []
