"""What a sandbox's processes hold, summed from /proc where no cgroup counts it, and the kernel's
limits for each of them."""

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds
from prefect_governor.blocks.sandboxes.results import Bound

PROC = Path("/proc")
# The keeper's two, `nsenter`, and bubblewrap's two, which share the user namespace that the kernel
# counts in.
OWN_PROCESSES = 5
# What the C library gives a thread as its stack where nothing says another size.
STACK_MIB = 8
# From this release on RLIMIT_NPROC is counted by user namespace; before, over all of a user's.
_COUNTED_BY_NAMESPACE = (5, 14)


class Summed:
    """Sums what the processes below the first one of a sandbox hold.

    Args:
        proc: where procfs is; given by tests.
    """

    def __init__(self, bounds: SandboxBounds, *, proc: Path = PROC) -> None:
        self._bounds, self._proc = bounds, proc
        self._peak: int | None = None

    def over(self, first: int) -> Bound | None:
        """The bound that they are beyond now, None where they are within all."""
        pids = list(below(first, self._proc))
        # The first is bubblewrap's own.
        threads = sum(self._threads(pid) for pid in pids if pid != first)
        if threads > self._bounds.processes:
            return "processes"
        limit = self._bounds.memory_mib * MIB
        held = sum(self._resident(pid) for pid in pids)
        if held > limit:
            # Pages that forked processes share were counted once for each.
            held = sum(self._proportional(pid) for pid in pids)
        self._peak = max(held, self._peak or 0)
        return "memory" if held > limit else None

    def peak_bytes(self) -> int | None:
        """The most that was seen; None where nothing was."""
        return self._peak

    def _threads(self, pid: int) -> int:
        return _field(self._proc / str(pid) / "status", "Threads:") or 0

    def _resident(self, pid: int) -> int:
        status = self._proc / str(pid) / "status"
        return 1024 * sum(_field(status, name) or 0 for name in ("RssAnon:", "RssShmem:"))

    def _proportional(self, pid: int) -> int:
        pss = _field(self._proc / str(pid) / "smaps_rollup", "Pss:")
        return self._resident(pid) if pss is None else 1024 * pss


def below(pid: int, proc: Path = PROC) -> Iterator[int]:
    """A process, and all that it and those below it have started and that run."""
    ahead, seen = [pid], {pid}
    while ahead:
        each = ahead.pop()
        yield each
        begun = children(each, proc)
        ahead += begun - seen
        seen |= begun


def children(pid: int, proc: Path = PROC) -> set[int]:
    """What a process has started and that is there."""
    found: set[int] = set()
    with suppress(OSError):
        for thread in (proc / str(pid) / "task").iterdir():
            with suppress(OSError):
                found |= {int(word) for word in (thread / "children").read_text().split()}
    return found


def limits(bounds: SandboxBounds, *, counted: bool, release: str | None = None) -> list[str]:
    """The kernel's limits for each process of a sandbox, as `prlimit` of util-linux takes them. A
    process lowers its own: that of another needs a capability that root in a container has not.

    Args:
        counted: whether a cgroup counts its memory and processes.
        release: the kernel's; given by tests.
    """
    cpu = max(1, round(bounds.seconds * max(1.0, bounds.cpus)))
    found = {
        "core": 0,
        "msgqueue": 0,
        "memlock": 0,
        "nofile": bounds.open_files,
        "fsize": bounds.workspace_mib * MIB,
    }
    if not counted:
        # No process takes more than twice the bound before it is looked at again. Address space
        # (RLIMIT_AS) is no measure: runtimes reserve gigabytes that they never use. What threads
        # have as their stacks they do not use either.
        found["data"] = (2 * bounds.memory_mib + STACK_MIB * bounds.processes) * MIB
        if _release(release or platform.release()) >= _COUNTED_BY_NAMESPACE:
            found["nproc"] = bounds.processes + OWN_PROCESSES + 1
    return [*(f"--{name}={value}" for name, value in found.items()), f"--cpu={cpu}:{cpu + 1}"]


def _release(text: str) -> tuple[int, ...]:
    major, _, rest = text.partition(".")
    minor = "".join(each for each in rest.split(".")[0] if each.isdigit())
    return (int(major), int(minor or 0)) if major.isdigit() else (0, 0)


def _field(path: Path, name: str) -> int | None:
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return None
