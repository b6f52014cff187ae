"""What a program on its stdio says and is told: messages of MCP, a line each, bounded.

The SDK's own transport starts the program itself, and reads a line of any length.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import anyio

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell
from prefect_governor.flows.mcp.servers import McpServer
from prefect_governor.flows.web.plain import one_line

# Of one message, in bytes.
MOST_LINE = 4 * 2**20
# Lines that are no message: a program's greetings, not what it says all along.
MOST_ODD_LINES = 100
# Of any kind, empty ones too: each is work for the loop that all agents of a run share.
MOST_LINES = 5_000
_MOST_REASON = 300


class Lines:
    """Lines out of pieces.

    Attributes:
        problem: the bound that was met, after which there are no more.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._looked_at = 0
        self._came, self._ended = asyncio.Event(), False
        self.problem: str | None = None

    def hear(self, piece: bytes) -> None:
        """Take a piece more."""
        self._held += piece
        self._came.set()

    def end(self) -> None:
        """There are no more pieces."""
        self._ended = True
        self._came.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            at = self._held.find(b"\n", self._looked_at)
            if (len(self._held) if at < 0 else at) > MOST_LINE:
                self.problem = f"a line above {MOST_LINE // 2**20} MiB"
                return
            if at >= 0:
                line = bytes(self._held[:at])
                del self._held[: at + 1]
                self._looked_at = 0
                yield line
                continue
            if self._ended:
                return
            self._looked_at = len(self._held)
            self._came.clear()
            await self._came.wait()


class OnStdio:
    """A server that runs in a cell, as `mcp.Client` is given a transport. Left, it has ended.

    Attributes:
        why: why it says nothing any more, once it does not.
    """

    def __init__(self, server: McpServer, cell: Cell) -> None:
        self._server, self._cell = server, cell
        self._lines = Lines()
        self._told: asyncio.Queue[bytes] = asyncio.Queue()
        self._work: list[asyncio.Task[Any]] = []
        self.why: str | None = None

    async def __aenter__(self) -> tuple[Any, Any]:
        said_here, said = anyio.create_memory_object_stream[Any](0)
        telling, told_here = anyio.create_memory_object_stream[Any](0)
        running = asyncio.ensure_future(
            self._cell.run(self._server.command, stdin=self._pieces(), heard=self._lines.hear)
        )
        running.add_done_callback(lambda _: self._lines.end())
        self._work = [
            running,
            asyncio.ensure_future(self._say(running, said_here)),
            asyncio.ensure_future(self._tell(told_here)),
        ]
        return said, telling

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._work:
            each.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait(self._work)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._told.get()

    async def _tell(self, messages: Any) -> None:
        """Whole lines, so that a key in one is seen."""
        async with messages:
            async for each in messages:
                line = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._told.put_nowait(line.encode() + b"\n")

    async def _say(self, running: "asyncio.Task[SandboxResult]", to: Any) -> None:
        try:
            await self._relay(to)
            running.cancel() if self._lines.problem else None
            await asyncio.wait([running])
            self.why = self._lines.problem or _ending(running)
        finally:
            # Whoever waits for an answer is told that there will be none.
            to.close()

    async def _relay(self, to: Any) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        odd = lines = 0
        async for line in self._lines:
            lines += 1
            if lines > MOST_LINES:
                self._lines.problem = f"more than {MOST_LINES:,} lines"
                return
            if not line.strip():
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                odd += 1
                if odd > MOST_ODD_LINES:
                    self._lines.problem = f"more than {MOST_ODD_LINES} lines that are no messages"
                    return
                continue
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await to.send(SessionMessage(message))


def _ending(running: "asyncio.Task[SandboxResult]") -> str:
    """Why a program that ended did."""
    if running.cancelled():
        return "it was ended"
    if (error := running.exception()) is not None:
        return str(error) if isinstance(error, GovernorError) else type(error).__name__
    result = running.result()
    last = one_line("".join(result.stderr.strip().splitlines()[-1:]), _MOST_REASON)
    said = f": {last}" if last else ""
    return result.reason or f"its program ended with {result.exit}{said}"
