"""The sandboxes of one agent that are there at once: those of its servers, and of its programs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandbox import OpenCell, Sandbox
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.folder import workspace_bounds
from prefect_governor.blocks.sandboxes.runtime import Cell
from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.flows.mcp.servers import McpServer

# Of a server's program, as long as an agent is at it; for the rest its bounds are the Sandbox's.
SECONDS = 3_600.0
OUTPUT_KIB = 64 * 1024


class Quarters:
    """Room for all of them is taken when the first server is started, as one: an agent that held
    some of it and waited for the rest would wait for another that does the same.

    Args:
        servers: how many of its servers are programs.
        programs: whether it runs programs besides, one at a time.
    """

    def __init__(self, sandbox: Sandbox, servers: int, *, programs: bool) -> None:
        self._sandbox, self._sandboxes = sandbox, servers + programs
        self._stack = AsyncExitStack()
        self._one = asyncio.Lock()
        self._opened: OpenCell | None = None

    @asynccontextmanager
    async def program(self, folder: Path) -> AsyncIterator[Cell]:
        """A cell for one of its programs; see `Sandbox.cell`."""
        async with (self._opened or self._sandbox.cell)(folder) as cell:
            yield cell

    @asynccontextmanager
    async def server(self, server: McpServer) -> AsyncIterator[Cell]:
        """A cell for a server, with a copy of its folder.

        Raises ConfigurationError, QueueTimeout, CallRefused.
        """
        async with self._one:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(
                    self._sandbox.together(self._sandboxes)
                )
        opened = self._opened
        own = HeldWorkspace(
            "server",
            whose=lambda: ("sandboxes", None),
            bounds=workspace_bounds(self._sandbox.bounds),
        )
        async with own as folder:
            if server.folder is not None:
                await asyncio.to_thread(_put, own, server)
            async with opened(folder, server.environment, self._bounds()) as cell:
                yield cell

    async def leave(self) -> None:
        """Give the room back."""
        self._opened = None
        await self._stack.aclose()

    def _bounds(self) -> SandboxBounds:
        return self._sandbox.bounds.model_copy(
            update={"seconds": SECONDS, "output_kib": OUTPUT_KIB}
        )


def _put(own: HeldWorkspace, server: McpServer) -> None:
    assert server.folder is not None
    try:
        own.workspace.put_tree(server.folder)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"its folder {server.folder} cannot be copied: {error}") from None
