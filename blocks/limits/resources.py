"""What this machine, or the container that this process is in, has left: memory and cores."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.limits.derived import Memory

MEMINFO = Path("/proc/meminfo")
# A cgroup without a limit says 2**63 less a page (v1) or "max" (v2); no machine has an exbibyte.
UNLIMITED = 2**60


@dataclass(frozen=True)
class Group:
    """A memory cgroup: its folder, and the version of its files."""

    folder: Path
    version: int


def memory(
    *, cgroups: str | None = None, root: Path = Path("/sys/fs/cgroup"), meminfo: str | None = None
) -> Memory | None:
    """Memory that this process may still take, without page cache: the least of its cgroups', up to
    the root, and the machine's. None where nothing tells.

    Args:
        cgroups: the text of /proc/self/cgroup, `root` where its filesystem is mounted, `meminfo`
            the text of /proc/meminfo; given by tests.
    """
    text = _read(Path("/proc/self/cgroup")) if cgroups is None else cgroups
    found = [each for group in groups(text or "", root) if (each := of_group(group)) is not None]
    machine = of_machine(_read(MEMINFO) if meminfo is None else meminfo)
    if machine is not None:
        found.append(machine)
    return min(found, key=lambda each: each.free_bytes, default=None)


def groups(cgroups: str, root: Path) -> list[Group]:
    """The memory cgroups of a process and those around them, by its lines of /proc/self/cgroup.

    In a container's own namespace its path may not be there: its own group is then the root.
    """
    found: list[Group] = []
    for line in cgroups.splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        if "memory" in parts[1].split(","):
            found += _upwards(root / "memory", parts[2], 1)
        elif parts[0] == "0" and not parts[1]:
            found += _upwards(root, parts[2], 2)
    return found


def _upwards(root: Path, path: str, version: int) -> list[Group]:
    folder = root / path.lstrip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = root
    inside = [folder, *(each for each in folder.parents if root in (each, *each.parents))]
    return [Group(each, version) for each in inside]


def of_group(group: Group) -> Memory | None:
    """A cgroup's limit and what counts against it, less the page cache, which makes room."""
    if group.version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        cached = ("total_inactive_file", "total_active_file")
    else:
        names = ("memory.max", "memory.current")
        cached = ("inactive_file", "active_file")
    limit, used = (_number(_read(group.folder / name)) for name in names)
    if limit is None or used is None or limit >= UNLIMITED:
        return None
    stat = dict(
        line.split(" ", 1) for line in (_read(group.folder / "memory.stat") or "").splitlines()
    )
    cache = sum(_number(stat.get(name)) or 0 for name in cached)
    return Memory(limit, max(0, used - cache), f"cgroup v{group.version}")


def of_machine(meminfo: str | None) -> Memory | None:
    """The machine's own memory; what is available counts its page cache as room."""
    found = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB$", meminfo or "", re.MULTILINE))
    if len(found) != 2:
        return None
    total, available = int(found["MemTotal"]) * 1024, int(found["MemAvailable"]) * 1024
    return Memory(total, max(0, total - available), "machine")


def resident_bytes() -> int | None:
    """What this process holds in memory now; None where the system does not tell."""
    text = _read(Path("/proc/self/statm"))
    if text is None:
        return None
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
