"""A cgroup a program: memory, processes and CPU, counted and bounded by the kernel; v1 and v2."""

import os
import signal
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.orphans import is_dead, owner
from prefect_governor.blocks.sandboxes.results import Bound

ROOT = Path("/sys/fs/cgroup")
PREFIX = "prefect-governor-"
# `nsenter`, and bubblewrap itself, outside and as the sandbox's first process.
OWN_PROCESSES = 3
# The kernel's usual period of CPU quotas, in microseconds.
PERIOD = 100_000


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: a folder a controller in v1, one for all in v2. `cpu` None: nobody
    bounds it."""

    version: int
    memory: Path
    pids: Path
    cpu: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(each for each in (self.memory, self.pids, self.cpu) if each))


def hierarchy(cgroups: str | None = None, root: Path = ROOT) -> Hierarchy | None:
    """Where this process may make groups that count memory and processes; None where it may not.

    It has made one, and removed it. In v2 they are made in a group that was delegated to this user
    (`systemd-run --user --scope -p Delegate=yes`), whose processes are moved into one of their own:
    it cannot have both.

    Args:
        cgroups: the text of /proc/self/cgroup; `root`: where the filesystem is. Given by tests.
    """
    text = _read(Path("/proc/self/cgroup")) if cgroups is None else cgroups
    first: dict[str, Path] = {}
    unified: Path | None = None
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            unified = _own(root, path)
        for name in names.split(","):
            first[name] = _own(root / name, path)
    if "memory" in first and "pids" in first:
        kept = first.get("cpu")
        if kept is not None and not _writable(kept):
            kept = None
        found: Hierarchy | None = Hierarchy(1, first["memory"], first["pids"], kept)
    else:
        found = None if unified is None else _unified(unified)
    if found is None or not all(map(_writable, found.folders)):
        return None
    try:
        Group(found, SandboxBounds()).remove()
    except OSError:
        return None
    return found


def _own(root: Path, path: str) -> Path:
    # In a namespace of its own its path may not be there: its group is then the root.
    folder = root / path.lstrip("/")
    return folder if ".." not in folder.parts and folder.is_dir() else root


def _unified(own: Path) -> Hierarchy | None:
    home = own.parent if own.name == f"{PREFIX}self" else own
    there = _read(home / "cgroup.controllers").split()
    if not {"memory", "pids"} <= {*there} or not _writable(home):
        return None
    wanted = [name for name in ("memory", "pids", "cpu") if name in there]
    if not _enable(home, wanted):
        if not _delegated(home):
            return None
        _move_own(home)
        if not _enable(home, wanted):
            return None
    return Hierarchy(2, home, home, home if "cpu" in wanted else None)


def _enable(home: Path, wanted: Iterable[str]) -> bool:
    missing = {*wanted} - {*_read(home / "cgroup.subtree_control").split()}
    return not missing or _write(
        home / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing))
    )


def _delegated(home: Path) -> bool:
    """Whether systemd gave the group away for whatever is wanted with it."""
    try:
        return os.getxattr(home, "user.delegate") == b"1"
    except OSError:
        return False


def _move_own(home: Path) -> None:
    own = home / f"{PREFIX}self"
    with suppress(OSError):
        own.mkdir(exist_ok=True)
    for pid in _read(home / "cgroup.procs").split():
        _write(own / "cgroup.procs", pid)


class Group:
    """The group of one program. Raises OSError where it cannot be made."""

    def __init__(self, hierarchy: Hierarchy, bounds: SandboxBounds) -> None:
        name = f"{PREFIX}{owner()}-{uuid.uuid4().hex[:12]}"
        self._version = hierarchy.version
        self._memory, self._pids = hierarchy.memory / name, hierarchy.pids / name
        self.folders = tuple(folder / name for folder in hierarchy.folders)
        limits = list(_limits(hierarchy, name, bounds))
        try:
            for folder in self.folders:
                folder.mkdir()
            for path, value in limits:
                # Where no swap is counted there is no such file.
                if path.exists() or "sw" not in path.name:
                    path.write_text(value)
        except OSError:
            self.remove()
            raise

    def enter(self, pid: int) -> None:
        """Whatever this process starts from now on is in the group. Raises OSError."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def over(self) -> Bound | None:
        """The bound that the kernel held the program back at, None where it did at none."""
        oom = "memory.oom_control" if self._version == 1 else "memory.events"
        if _counter(self._memory / oom, "oom_kill"):
            return "memory"
        return "processes" if _counter(self._pids / "pids.events", "max") else None

    def peak_bytes(self) -> int | None:
        """The most memory that it used, with what it wrote to its workspace."""
        name = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        text = _read(self._memory / name).strip()
        return int(text) if text.isdigit() else None

    def kill(self) -> bool:
        """Kill what is in it; whether there was anything."""
        return kill(self.folders)

    def remove(self) -> bool:
        """Remove it; False while something in it is ending still."""
        return remove(self.folders)


def _limits(hierarchy: Hierarchy, name: str, bounds: SandboxBounds) -> Iterator[tuple[Path, str]]:
    memory, processes = bounds.memory_mib * MIB, bounds.processes + OWN_PROCESSES
    quota = max(1000, int(bounds.cpus * PERIOD))
    yield hierarchy.pids / name / "pids.max", str(processes)
    if hierarchy.version == 1:
        yield hierarchy.memory / name / "memory.limit_in_bytes", str(memory)
        yield hierarchy.memory / name / "memory.memsw.limit_in_bytes", str(memory)
        if hierarchy.cpu is not None:
            yield hierarchy.cpu / name / "cpu.cfs_period_us", str(PERIOD)
            yield hierarchy.cpu / name / "cpu.cfs_quota_us", str(quota)
        return
    yield hierarchy.memory / name / "memory.max", str(memory)
    yield hierarchy.memory / name / "memory.swap.max", "0"
    yield hierarchy.memory / name / "memory.oom.group", "1"
    if hierarchy.cpu is not None:
        yield hierarchy.cpu / name / "cpu.max", f"{quota} {PERIOD}"


def orphaned(hierarchy: Hierarchy) -> list[Path]:
    """The groups of owners that have ended."""
    found = []
    for folder in hierarchy.folders:
        for group in sorted(folder.glob(f"{PREFIX}*-*-*")):
            if is_dead(group.name.removeprefix(PREFIX).rpartition("-")[0]):
                found.append(group)
    return found


def kill(folders: tuple[Path, ...]) -> bool:
    """Kill what is in these folders of a group; whether there was anything."""
    found = {int(pid) for folder in folders for pid in _read(folder / "cgroup.procs").split()}
    for pid in found:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def remove(folders: tuple[Path, ...]) -> bool:
    """Remove these folders of a group; False while something in it is ending still."""
    gone = True
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def _counter(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> bool:
    try:
        path.write_text(text)
    except OSError:
        return False
    return True
