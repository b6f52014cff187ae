"""What of this machine makes sandboxes: the programs, who starts them, the cgroups."""

import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bubblewrap import cgroups, seccomp
from prefect_governor.blocks.sandboxes.bubblewrap.account import Account
from prefect_governor.blocks.sandboxes.bubblewrap.cgroups import Hierarchy

INSTALL = "apt-get install bubblewrap (Debian, Ubuntu) or dnf install bubblewrap (Fedora)"
# Files that say that users may make no namespaces, the value that says it, what mends it.
_SWITCHES = (
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give bwrap an AppArmor"
        " profile that allows userns",
    ),
    ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
)


@dataclass(frozen=True)
class Host:
    """This machine. `hierarchy` None: no cgroup counts, and processes are summed. `clock` is
    monotonic, in seconds."""

    bwrap: str
    nsenter: str
    prlimit: str
    account: Account
    hierarchy: Hierarchy | None
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def found(cls, *, counted: bool = True) -> "Host":
        """Raises ConfigurationError: what is missing, and how to get it."""
        if sys.platform != "linux":
            raise ConfigurationError(
                f"bubblewrap is for Linux, and this is {platform.system()}: use Docker"
            )
        if not seccomp.known(platform.machine()):
            raise ConfigurationError(
                f"no system call filter is known for {platform.machine()}: use Docker"
            )
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise ConfigurationError(f"bubblewrap is not installed: {INSTALL}")
        nsenter, prlimit = shutil.which("nsenter"), shutil.which("prlimit")
        if nsenter is None or prlimit is None:
            raise ConfigurationError("nsenter and prlimit are missing: apt-get install util-linux")
        hierarchy = cgroups.hierarchy() if counted else None
        return cls(bwrap, nsenter, prlimit, Account.unprivileged(), hierarchy)

    def filter_program(self, *, counted: bool) -> bytes:
        """The system call filter of this machine's architecture."""
        return seccomp.filter_program(platform.machine(), counted=counted)


def mend(switches: Path = Path("/proc/sys")) -> str:
    """What lets bubblewrap work where the kernel keeps it from it."""
    for name, off, command in _SWITCHES:
        try:
            found = (switches / name).read_text().strip()
        except OSError:
            continue
        if found == off:
            return command
    return "allow user namespaces here (a container needs a profile that does), or use Docker"
