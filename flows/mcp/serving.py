"""The MCP servers of a run: what they offer, told once, and sessions with them for each agent."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import TimeoutError
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect_governor.blocks.documents.documents import load_block
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.sandbox import Sandbox
from prefect_governor.blocks.sandboxes.ending import to_the_end
from prefect_governor.flows.agent.tools import Tool, tools_of
from prefect_governor.flows.mcp.offers import Offer
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.mcp.servers import McpServer, servers_of
from prefect_governor.flows.mcp.sessions import Sessions
from prefect_governor.flows.mcp.transports import Speak, transport_of

_LEAVE_SECONDS = 20.0


class Serving:
    """The servers of a run; none, too.

    Args:
        sandbox: where servers run that are programs.

    Attributes:
        programs: how many of them are.
    """

    def __init__(
        self,
        servers: Sequence[McpServer] = (),
        sandbox: Sandbox | None = None,
        speak: Speak = transport_of,
    ) -> None:
        self.servers, self._sandbox, self._speak = tuple(servers), sandbox, speak
        self.programs = sum(bool(each.command) for each in servers)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __bool__(self) -> bool:
        return bool(self.servers)

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """What they offer, told once: they are connected to, and left. Blocking.

        Raises ConfigurationError where one of them cannot be connected to, or two tools get one
        name; what a governor refuses a sandbox with.
        """
        if not self.servers:
            return ()
        with _loop() as loop:
            found = asyncio.run_coroutine_threadsafe(self._told(), loop).result()
        names: set[str] = set()
        for each in found:
            if each.name in names:
                raise ConfigurationError(f"two tools of MCP servers are named {each.name!r}")
            names.add(each.name)
        return tuple(found)

    @property
    def tools(self) -> list[Tool]:
        """Their tools, to be shown and not to be called."""
        return [_tool(each, None, None) for each in self.offers]

    def check_beside(self, others: Sequence[Tool]) -> None:
        """Have them told what they offer. Raises as `offers`, and where one of `others` has the
        name of a tool of theirs."""
        tools_of([*others, *self.tools])

    @contextmanager
    def open(self) -> Iterator[None]:
        """Agents have sessions while the block lasts: on an event loop of their own, as the agents
        of a run work on several."""
        if not self.servers:
            yield
            return
        with _loop() as self._loop:
            try:
                yield
            finally:
                self._loop = None

    def quarters(self, *, programs: bool = False) -> Quarters | None:
        """Those of one agent, which runs programs besides or not; None where no server is one."""
        if self._sandbox is None or not self.programs:
            return None
        return Quarters(self._sandbox, self.programs, programs=programs)

    @asynccontextmanager
    async def agent(self, quarters: Quarters | None = None) -> AsyncIterator[list[Tool]]:
        """The tools of the servers for one agent, whose sessions end with the block. `quarters`,
        where they are not its servers' alone."""
        if not self.servers:
            yield []
            return
        assert self._loop is not None, "an agent has sessions in a run that is open"
        loop = self._loop
        sessions = Sessions(self.servers, self._speak, quarters or self.quarters())
        try:
            yield [_tool(each, sessions, loop) for each in self.offers]
        finally:
            left = asyncio.run_coroutine_threadsafe(sessions.leave(), loop)
            await to_the_end(asyncio.wrap_future(left))

    async def _told(self) -> list[Offer]:
        sessions = Sessions(self.servers, self._speak, self.quarters())
        try:
            return await sessions.offers()
        finally:
            await sessions.leave()


def ready_serving(mcp: Any, *, folder: Path, sandbox: str | None = None) -> Serving:
    """The servers of a configuration; see `servers_of`. `sandbox` is where those run that are
    programs: the saved block of a name, or the default.

    Raises ConfigurationError for a configuration that is wrong, and where a program cannot be run
    in a sandbox here. It is never run without one.
    """
    servers = servers_of(mcp, folder=folder)
    programs = [each.name for each in servers if each.command]
    if not programs:
        return Serving(servers)
    block = Sandbox() if sandbox is None else load_block(Sandbox, sandbox)
    try:
        result_of(block.chosen())
    except ConfigurationError as error:
        names = ", ".join(map(repr, programs))
        raise ConfigurationError(
            f"MCP server {names} is a program, which runs in a sandbox only: {error}; or give the"
            " url of a server over HTTP"
        ) from None
    return Serving(servers, block)


def _tool(offer: Offer, sessions: Sessions | None, loop: asyncio.AbstractEventLoop | None) -> Tool:
    async def call(**arguments: Any) -> str:
        assert sessions is not None and loop is not None, "this tool is only shown"
        asked = asyncio.run_coroutine_threadsafe(sessions.called(offer, arguments), loop)
        return await asyncio.wrap_future(asked)

    call.__name__, call.__doc__ = offer.name, offer.description
    return Tool(offer.name, offer.description, offer.schema, call)


async def _all_ended() -> None:
    """Nothing is left where whoever waited for it was interrupted."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    if left:
        await asyncio.wait(left)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mcp", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_all_ended(), loop).result(_LEAVE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
