"""What owners that are dead left behind, and how it is told from what the living own."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
# In the environment of bubblewrap, which programs do not inherit.
OWNER = "SANDBOX_OWNER"


def owner(pid: int | None = None, proc: Path = PROC) -> str:
    """A process by its number, when it began, as no two that have the same number did, and the PID
    namespace that the number is of: ours. Raises OSError: there is no such process."""
    number = os.getpid() if pid is None else pid
    stat = (proc / str(number) / "stat").read_text()
    return f"{number}-{stat.rpartition(')')[2].split()[19]}-{_namespace()}"


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


def is_dead(name: str, proc: Path = PROC) -> bool:
    """Whether the process that `owner` told has ended. Of another namespace, such as a container's,
    nobody here can tell: it has not."""
    pid = name.partition("-")[0]
    if not pid.isdigit() or name.rpartition("-")[2] != _namespace():
        return False
    try:
        return owner(int(pid), proc) != name
    except OSError:
        return True


def marked() -> Mapping[str, str]:
    """What is to be in the environment of what this process starts."""
    return {OWNER: owner()}


def processes(proc: Path = PROC) -> list[int]:
    """Those of dead owners that run still: bubblewrap's own child waits for ever where bubblewrap
    was killed in the instant of starting it."""
    found = []
    mark = f"{OWNER}=".encode()
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                name = variable.removeprefix(mark)
                if name != variable and is_dead(name.decode(errors="replace"), proc):
                    found.append(int(folder.name))
    return found


def end(pids: list[int]) -> None:
    """Kill these processes."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
