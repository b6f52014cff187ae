"""What bubblewrap is told: the root that programs see, the workspace, what is taken from them."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds
from prefect_governor.blocks.sandboxes.runtime import WORKSPACE

# Who a program is inside.
USER_ID = 1000
# Where the keeper holds what may be written, in its own mount namespace, and bubblewrap itself.
HELD, BWRAP = "/held", "/bwrap"
# Of the tmpfs: its root, three folders, `etc` and two files in it.
OWN_INODES = 7

_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types")
_PATH = "/usr/local/bin:/usr/bin:/bin"
# For the keeper: where `mount` is.
KEEPER_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_PASSWD = f"sandbox:x:{USER_ID}:{USER_ID}::{WORKSPACE}:/bin/sh"
# The tmpfs is bounded in bytes and in inodes, which bubblewrap's own cannot be. Whoever keeps it
# ends when its input does: with us.
_KEEP = (
    "umask 022 && "
    f'mount -t tmpfs -o "size=$1,nr_inodes=$2,mode=0755,nosuid,nodev" tmpfs {HELD} && '
    f"cd {HELD} && mkdir workspace tmp shm etc && "
    f"echo '{_PASSWD}' > etc/passwd && echo 'sandbox:x:{USER_ID}:' > etc/group && "
    "echo kept && exec cat"
)


def read_only_root(host: Path = Path("/")) -> list[str]:
    """The host's programs and libraries, and of its `/etc` what those need; nobody's data."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _FOLDERS:
        folder = host / name
        if folder.is_symlink():
            arguments += ["--symlink", str(folder.readlink()), f"/{name}"]
        elif folder.is_dir():
            arguments += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in _ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    own = own_python(host)
    return arguments if own is None else [*arguments, "--ro-bind", own, own]


def own_python(host: Path = Path("/")) -> str | None:
    """The folder of this process's Python where the host's programs have none; else None."""
    usual = any((host / folder / "python3").exists() for folder in ("usr/bin", "usr/local/bin"))
    return None if usual or sys.base_prefix in ("/usr", "/usr/local") else sys.base_prefix


def keeper(bwrap: str, bounds: SandboxBounds, *, status: int) -> list[str]:
    """The command that holds a cell's workspace in namespaces of its own until its input ends. It
    prints a line when the workspace is there."""
    return [
        bwrap,
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--die-with-parent", "--new-session", "--uid", "0", "--gid", "0"),
        *("--cap-add", "CAP_SYS_ADMIN", "--json-status-fd", str(status)),
        *read_only_root(),
        *("--ro-bind", bwrap, BWRAP, "--dev-bind", "/dev", "/dev"),
        # Bubblewrap, entered here, looks its own child up there.
        *("--proc", "/proc"),
        *("--dir", "/tmp", "--dir", HELD, "--chdir", "/"),
        *("--", "/bin/sh", "-c", _KEEP, "sh"),
        str(bounds.workspace_mib * MIB),
        str(bounds.workspace_files + OWN_INODES),
    ]


def enter(nsenter: str, keeper_pid: int, options: int, argv: Iterable[str]) -> list[str]:
    """The command that runs a program beside a keeper's workspace; `options` is the descriptor that
    bubblewrap's options are read from: nobody else sees them.

    It is in the keeper's PID namespace too, whose first process reaps what bubblewrap leaves to
    others: it ends before its own child does."""
    return [
        *(nsenter, "--target", str(keeper_pid), "--user", "--mount", "--pid"),
        "--preserve-credentials",
        *(BWRAP, "--args", str(options), "--", *argv),
    ]


def program(
    *,
    environment: Mapping[str, str],
    status: int | None,
    seccomp: int,
    read_only: bool = False,
) -> list[str]:
    """Bubblewrap's options for a program. `read_only`: it may only read the workspace, all of it,
    whatever modes are set: what packs it."""
    arguments = [
        *("--unshare-user", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL"),
        *("--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", "sandbox", "--clearenv"),
        *("--seccomp", str(seccomp)),
    ]
    if status is not None:
        arguments += ["--json-status-fd", str(status)]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    arguments += [
        *read_only_root(),
        *("--proc", "/proc", "--dev", "/dev", "--bind", f"{HELD}/shm", "/dev/shm"),
        *("--remount-ro", "/dev"),
        *("--ro-bind" if read_only else "--bind", f"{HELD}/workspace", WORKSPACE),
        *("--bind", f"{HELD}/tmp", "/tmp"),
        *("--ro-bind", f"{HELD}/etc/passwd", "/etc/passwd"),
        *("--ro-bind", f"{HELD}/etc/group", "/etc/group"),
        *("--remount-ro", "/", "--chdir", WORKSPACE),
    ]
    if read_only:
        arguments += ["--cap-add", "CAP_DAC_OVERRIDE"]
    return arguments


def environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """All that a program finds in its environment."""
    own = own_python()
    path = _PATH if own is None else f"{own}/bin:{_PATH}"
    return {"PATH": path, "HOME": WORKSPACE, "TMPDIR": "/tmp", **(given or {})}
