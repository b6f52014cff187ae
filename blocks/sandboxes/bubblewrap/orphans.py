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
    namespace that has numbered it: this one's. Raises OSError: there is no such process."""
    number = os.getpid() if pid is None else pid
    stat = (proc / str(number) / "stat").read_text()
    return f"{number}-{stat.rpartition(')')[2].split()[19]}-{_namespace()}"


def is_dead(name: str, proc: Path = PROC) -> bool:
    """Whether the process that `owner` told has ended. Of one in another PID namespace, such as a
    container's whose processes are seen from here, nothing is known."""
    pid, _, rest = name.partition("-")
    if not pid.isdigit() or rest.rpartition("-")[2] != _namespace():
        return False
    try:
        return owner(int(pid), proc) != name
    except OSError:
        return True


def _namespace() -> str:
    return str((PROC / "self" / "ns" / "pid").stat().st_ino)


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
