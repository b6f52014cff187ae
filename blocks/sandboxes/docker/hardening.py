"""How a container is made for bounds: all that the engine is asked to keep from what runs in it.
Pure."""

from typing import Any

from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds
from prefect_governor.blocks.sandboxes.runtime import WORKSPACE

# The user of the programs: one that no system has, and no name is needed for.
USER_ID = 10_000
# Room for what programs put elsewhere than into the workspace, in MiB and files; no more than the
# workspace has.
_TMP_MIB, _TMP_FILES = 16, 1_024
# What the engine needs to start a container and its first process.
LEAST_MEMORY_MIB = 32
# A file may be larger than the workspace by so much, so that the workspace is full before.
_FILE_SLACK = MIB
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": WORKSPACE,
    "TMPDIR": "/tmp",
    "PWD": WORKSPACE,
}


def options(bounds: SandboxBounds) -> dict[str, Any]:
    """The arguments of docker-py's `containers.create` that harden a container, and bound it.

    The seccomp profile is the engine's own; the first process adds a filter of ours. See
    docs/decisions/isolation/0044-containers.md.
    """
    return {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "user": f"{USER_ID}:{USER_ID}",
        "ipc_mode": "private",
        "mem_limit": bounds.memory_mib * MIB,
        # Memory and swap together: none of it is swapped.
        "memswap_limit": bounds.memory_mib * MIB,
        "nano_cpus": max(10_000_000, int(bounds.cpus * 1_000_000_000)),
        # The first process is none of its own.
        "pids_limit": bounds.processes + 1,
        "ulimits": [
            {"Name": "nofile", "Soft": bounds.open_files, "Hard": bounds.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": _largest(bounds), "Hard": _largest(bounds)},
        ],
        "tmpfs": {
            WORKSPACE: _tmpfs(bounds.workspace_mib, bounds.workspace_files, "exec,mode=700"),
            "/tmp": _tmpfs(*tmp_room(bounds), "exec,mode=700"),
            "/dev/shm": _tmpfs(*tmp_room(bounds), "noexec,mode=700"),
        },
        "working_dir": "/",
        "environment": ENVIRONMENT,
        "hostname": "sandbox",
        # Where the host's names are resolved is none of theirs.
        "dns": ["127.0.0.1"],
        "dns_search": ["."],
        # What an image would have run now and then is a program as well.
        "healthcheck": {"test": ["NONE"]},
        # What programs say is ours to bound; nothing of it is kept at the engine.
        "log_config": {"Type": "none", "Config": {}},
    }


def tmp_room(bounds: SandboxBounds) -> tuple[int, int]:
    """What `/tmp` holds, and `/dev/shm`: MiB, files."""
    return min(_TMP_MIB, bounds.workspace_mib), min(_TMP_FILES, bounds.workspace_files)


def _largest(bounds: SandboxBounds) -> int:
    return bounds.workspace_mib * MIB + _FILE_SLACK


def _tmpfs(mib: int, files: int, how: str) -> str:
    # One of the files is the folder itself.
    return f"size={mib}m,nr_inodes={files + 1},uid={USER_ID},gid={USER_ID},nosuid,nodev,rw,{how}"
