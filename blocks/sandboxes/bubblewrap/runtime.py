"""The runtime: whether bubblewrap works here, its cells, what dead owners left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap import cgroups
from prefect_governor.blocks.sandboxes.bubblewrap.cell import BubblewrapCell, open_cell
from prefect_governor.blocks.sandboxes.bubblewrap.host import Host, mend


class BubblewrapRuntime:
    """Sandboxes by bubblewrap.

    Args:
        counted: count by cgroups where they can be made. False: as where they cannot.
    """

    name = "bubblewrap"

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted

    async def refusal(self) -> str | None:
        """Why it cannot run programs here, and what mends it; None where it has just run one."""
        try:
            host = Host.found(counted=self._counted)
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
        async with open_cell(Host.found(counted=self._counted), folder, bounds) as cell:
            yield cell

    async def sweep(self) -> int:
        """See `SandboxRuntime.sweep`. Processes and mounts end with their owner by themselves; what
        is left is their cgroups."""
        hierarchy = cgroups.hierarchy()
        found = () if hierarchy is None else cgroups.orphaned(hierarchy)
        for folder in found:
            cgroups.kill((folder,))
            cgroups.remove((folder,))
        return len({folder.name for folder in found})
