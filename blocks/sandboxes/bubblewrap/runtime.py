"""The runtime: whether bubblewrap works here, its cells, what dead owners left."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap import cgroups, orphans
from prefect_governor.blocks.sandboxes.bubblewrap.cell import BubblewrapCell, open_cell
from prefect_governor.blocks.sandboxes.bubblewrap.cgroups import Hierarchy
from prefect_governor.blocks.sandboxes.bubblewrap.host import Host, mend

# How long the kernel may take to end what was killed.
_SWEEP_SECONDS = 2.0


class BubblewrapRuntime:
    """Sandboxes by bubblewrap.

    Args:
        counted: count by cgroups where they can be made. False: as where they cannot.
    """

    name = "bubblewrap"

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted
        # Of a process: a child that was forked finds its own.
        self._hosts: dict[int, Host] = {}

    async def refusal(self) -> str | None:
        """Why it cannot run programs here, and what mends it; None where it has just run one."""
        try:
            host = self._host()
        except ConfigurationError as error:
            return str(error)
        try:
            with TemporaryDirectory() as folder:
                async with open_cell(host, Path(folder), SandboxBounds()) as cell:
                    result = await cell.run(["true"])
        except (ConfigurationError, OSError) as error:
            return f"{error}: {mend()}"
        if result.exit != 0:
            return f"bubblewrap's first program failed ({result.reason or result.stderr}): {mend()}"
        return None

    @asynccontextmanager
    async def cell(self, folder: Path, bounds: SandboxBounds) -> AsyncIterator[BubblewrapCell]:
        """See `SandboxRuntime.cell`."""
        async with open_cell(self._host(), folder, bounds) as cell:
            yield cell

    def cgroup_version(self) -> int | None:
        """Which cgroups count memory and processes; None where we sum them. Raises
        ConfigurationError."""
        hierarchy = self._host().hierarchy
        return None if hierarchy is None else hierarchy.version

    async def sweep(self) -> int:
        """See `SandboxRuntime.sweep`. Processes and mounts end with their owner by themselves; what
        is left is their cgroups, and a process where it was killed in a bad instant."""
        return await asyncio.to_thread(_sweep, self._host().hierarchy)

    def _host(self) -> Host:
        """Raises ConfigurationError."""
        pid = os.getpid()
        if pid not in self._hosts:
            self._hosts[pid] = Host.found(counted=self._counted)
        return self._hosts[pid]


def _sweep(hierarchy: Hierarchy | None) -> int:
    pids = orphans.processes()
    orphans.end(pids)
    found = [] if hierarchy is None else cgroups.orphaned(hierarchy)
    for folder in found:
        cgroups.kill((folder,))
    left, until = tuple(found), time.monotonic() + _SWEEP_SECONDS
    while not cgroups.remove(left) and time.monotonic() < until:
        time.sleep(_SWEEP_SECONDS / 100)
    return len(pids) + len({folder.name for folder in found})
