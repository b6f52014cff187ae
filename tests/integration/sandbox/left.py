"""What sandboxes may leave on a machine."""

import gc
import os
from pathlib import Path

from prefect_governor.blocks.sandboxes.bubblewrap.orphans import OWNER
from prefect_governor.blocks.workspaces.places import workspaces_folder
from tests.engine import containers


def processes_of(owner_pid: int) -> list[int]:
    """Processes that were started for sandboxes of this owner and run still."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdigit():
                continue
            variables = (folder / "environ").read_bytes().split(b"\0")
            if any(each.startswith(f"{OWNER}={owner_pid}-".encode()) for each in variables):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def groups_of(owner_pid: int) -> list[Path]:
    """The cgroups of an owner."""
    # Groups of others go meanwhile, which `os.walk` passes over.
    return [
        Path(place, each)
        for place, folders, _ in os.walk("/sys/fs/cgroup")
        for each in folders
        if each.startswith(f"prefect-governor-{owner_pid}-")
    ]


def everything() -> dict[str, object]:
    """All of this process's that is to be the same again when its sandboxes are gone."""
    pid = os.getpid()
    # What other tests left to be collected holds files.
    gc.collect()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": processes_of(pid),
        "cgroups": groups_of(pid),
        "mounts": sorted(line for line in mounts if "/held" in line or "/workspace" in line),
        "containers": containers(),
        "folders": sorted(each.name for each in workspaces_folder().glob("sandboxes/*")),
    }


def descriptors() -> int:
    """How many files this process has open, others' too, which may close theirs at any time."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
