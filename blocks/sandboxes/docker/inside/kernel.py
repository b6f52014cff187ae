"""What the first process of a container asks of its kernel, and what it has it refuse."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Mapping, Sequence

WORKSPACE = "/workspace"
# <linux/prctl.h>, <linux/seccomp.h>.
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 4, 38, 22, 2
# The kernel's counters of what it refused or killed, and of the most that was used, in version 2 of
# cgroups and in version 1: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
CGROUPS = "/sys/fs/cgroup"
KILLED = (("memory.events", "oom_kill"), ("memory/memory.oom_control", "oom_kill"))
REFUSED = (("pids.events", "max"), ("pids/pids.events", "max"))
PEAK = ("memory.peak", "memory/memory.max_usage_in_bytes")


def text(path: str) -> str:
    try:
        with open(os.path.join(CGROUPS, path), encoding="ascii") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def counter(places: Sequence[tuple[str, str]]) -> int:
    """A counter of the kernel's; 0 where nobody counts."""
    for path, name in places:
        for line in text(path).splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdigit():
                return int(value)
    return 0


def peak() -> int | None:
    for path in PEAK:
        found = text(path).strip()
        if found.isdigit():
            return int(found)
    return None


def full() -> str | None:
    """What has no room left: "files" or "bytes" of the workspace, "tmp", or None."""
    there = os.statvfs(WORKSPACE)
    if there.f_favail == 0:
        return "files"
    if there.f_bavail == 0:
        return "bytes"
    there = os.statvfs("/tmp")
    return "tmp" if there.f_bavail == 0 or there.f_favail == 0 else None


def attract_the_oom_killer() -> None:
    """Where memory is out, the kernel ends this process rather than the first one."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def open_up(folder: str) -> None:
    """Let the owner read what is in a folder, whatever a program made of it; no link is followed,
    and what is deeper than a path can be is left."""
    left = [folder]
    while left:
        folder = left.pop()
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                for each in entries:
                    mode = each.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        left.append(each.path)
                    elif stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
                        os.chmod(each.path, mode | stat.S_IRUSR)


def protect(filters: Mapping[str, str]) -> None:
    """Let no program read or trace this process, and refuse all of them the system calls that the
    filter of this machine refuses."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("the kernel does not protect the first process from the others")
    steps = base64.b64decode(filters.get(os.uname().machine, ""))
    if not steps:
        return
    held = ctypes.create_string_buffer(steps, len(steps))
    # `struct sock_fprog`: how many steps of 8 bytes, and where they are.
    program = struct.pack("@HP", len(steps) // 8, ctypes.addressof(held))
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]
    if (
        prctl(PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) != 0
        or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0
    ):
        sys.exit("the kernel does not take the filter of system calls")
