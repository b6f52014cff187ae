"""The folder of publications: a file each, and who may write it to the server.

Whoever writes one holds its lock, which ends with the process: what nobody holds was left.
"""

import fcntl
import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.flows.publications.publication import Publication, publication_of

# What waits longer, or is older than so many others, is swept away: an outage is no month, and a
# report is about a megabyte. The results themselves are files of their own.
LONGEST_SECONDS = 30 * 24 * 3600.0
MOST = 100

_logger = logging.getLogger("prefect_governor.report")
# Of this process: a child that it forks would hold them as long as it lives.
_locks: set[int] = set()


class Held:
    """A publication that this process alone writes to the server until it is left or done with."""

    def __init__(self, publication: Publication, lock: int) -> None:
        self.publication = publication
        self._lock: int | None = lock

    @property
    def path(self) -> Path:
        return _file(self.publication.name)

    def keep(self, publication: Publication) -> None:
        """This is what is to be written now. A disk that takes nothing costs a warning."""
        self.publication = publication
        try:
            write_whole(self.path, publication.to_json())
        except OSError as error:
            _logger.warning("The report of the run cannot be kept for later: %s", error)

    def drop(self) -> None:
        """The server has all of it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        with suppress(OSError):
            _lock_file(self.publication.name).unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Whoever comes next may write it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            _close(lock)


def begin(publication: Publication) -> Held | None:
    """Keep a publication and hold it; None where another process has it, or no disk takes it."""
    try:
        make_folder(_folder())
        lock = _locked(publication.name)
    except OSError as error:
        _logger.warning("The report of the run cannot be kept for later: %s", error)
        return None
    if lock is None:
        return None
    held = Held(publication, lock)
    held.keep(publication)
    return held


def hold(name: str) -> Held | None:
    """A publication that was left, to write it; None where somebody has it, or did."""
    try:
        lock = _locked(name)
    except OSError:
        return None
    if lock is None:
        return None
    found = _read(_file(name))
    if found is None:
        _close(lock)
        with suppress(OSError):
            if not _file(name).exists():
                _lock_file(name).unlink(missing_ok=True)
        return None
    return Held(found, lock)


def is_held(name: str) -> bool:
    """Whether a process is at it."""
    held = hold(name)
    if held is not None:
        held.let_go()
    return held is None


def waiting() -> list[Publication]:
    """What is kept, the oldest first, held by somebody or not. What cannot be read is passed over,
    what is too old or too much swept."""
    found: list[tuple[float, Publication]] = []
    for path in _folder().glob("*.json"):
        with suppress(OSError):
            age = path.stat().st_mtime
            if (publication := _read(path)) is not None:
                found.append((age, publication))
    found.sort(key=lambda each: each[0])
    now = time.time()
    late = [each for age, each in found if now - age > LONGEST_SECONDS]
    swept = late or [each for _, each in found[: max(0, len(found) - MOST)]]
    for publication in swept:
        if (held := hold(publication.name)) is not None:
            _logger.warning("Swept away, as nobody could write it: %s", held.path)
            held.drop()
    return [each for _, each in found if each not in swept]


def any_waiting() -> bool:
    """Whether something is kept, held by somebody or not; without reading it."""
    with suppress(OSError), os.scandir(_folder()) as entries:
        return any(entry.name.endswith(".json") for entry in entries)
    return False


def supersede(run_id: str, attempt: int) -> None:
    """Another attempt of a run has begun: what earlier ones that died had done is in its report."""
    for each in waiting():
        if each.run_id == run_id and each.attempt < attempt and not each.artifacts:
            held = hold(each.name)
            if held is not None:
                held.drop()


def _folder() -> Path:
    return state_folder() / "publications"


def _file(name: str) -> Path:
    return _folder() / f"{name}.json"


def _lock_file(name: str) -> Path:
    return _folder() / f"{name}.lock"


def _locked(name: str) -> int | None:
    """Raises OSError."""
    path = _lock_file(name)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _locks.add(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever was done with it took the file away: a lock on that holds nobody off.
        there = path.stat().st_ino == os.fstat(lock).st_ino
    except OSError:
        there = False
    if there:
        return lock
    _close(lock)
    return None


def _close(lock: int) -> None:
    _locks.discard(lock)
    os.close(lock)


def _read(path: Path) -> Publication | None:
    try:
        return publication_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _after_fork() -> None:
    for lock in _locks:
        with suppress(OSError):
            os.close(lock)
    _locks.clear()


os.register_at_fork(after_in_child=_after_fork)
