"""One agent's sessions with MCP servers: each begins when the agent first calls one of its tools,
and is nobody else's. All of it runs on the event loop of the run's servers."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.flows.agent.tools import MOST_CHARACTERS
from prefect_governor.flows.mcp.offers import MOST_TOOLS, Offer, digest_of, offer_of, text_of
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.mcp.servers import McpServer
from prefect_governor.flows.mcp.transports import Speak
from prefect_governor.flows.web.network.guard import NotFetched
from prefect_governor.flows.web.plain import one_line

if TYPE_CHECKING:
    from mcp import Client

_CONNECT_SECONDS = 60.0
_CALL_SECONDS = 60.0
_LEAVE_SECONDS = 10.0
_MOST_PAGES = 20


class McpFailed(Exception):
    """A tool of an MCP server that gave nothing; the message says why."""


@dataclass
class _Session:
    """One with one server. `why` is why it has ended, once it has."""

    client: "Client"
    transport: Any

    @property
    def why(self) -> str | None:
        return getattr(self.transport, "why", None)

    async def listed(self) -> dict[str, tuple[str, str | None, Any]]:
        found: dict[str, tuple[str, str | None, Any]] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self.client.list_tools(cursor=cursor)
            for each in page.tools[: MOST_TOOLS + 1]:
                found.setdefault(each.name, (each.name, each.description, each.input_schema))
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_TOOLS:
                break
        return found

    async def called(self, offer: Offer, arguments: Mapping[str, Any]) -> str:
        """What a tool gives; one whose server says something else of it by now is not called."""
        with anyio.fail_after(_CALL_SECONDS):
            now = (await self.listed()).get(offer.theirs)
            if now is None or digest_of(*now) != offer.digest:
                raise McpFailed("the server changed what it says of this tool; it is not called")
            result = await self.client.call_tool(offer.theirs, dict(arguments))
        text = text_of(result.content, result.structured_content, most=MOST_CHARACTERS)
        return f"error: {text}" if result.is_error else text


@dataclass
class _Held:
    """A session that one task enters and leaves, as the SDK's scopes want it."""

    ready: "asyncio.Future[_Session]"
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    async def end(self) -> None:
        """Leave it, or what is still being entered; what takes too long is cut."""
        assert self.task is not None
        self.leave.set()
        if not self.ready.done():
            self.task.cancel()
        await asyncio.wait([self.task], timeout=_LEAVE_SECONDS)
        self.task.cancel()
        await asyncio.wait([self.task], timeout=_LEAVE_SECONDS)
        if self.ready.done() and not self.ready.cancelled():
            # Whoever waited for it was told, or is gone.
            self.ready.exception()


class Sessions:
    """Those of one agent.

    Args:
        quarters: where servers run that are programs; None where none is.
    """

    def __init__(
        self, servers: Sequence[McpServer], speak: Speak, quarters: Quarters | None
    ) -> None:
        self._servers = {each.name: each for each in servers}
        self._speak, self._quarters = speak, quarters
        self._held: dict[str, _Held] = {}

    async def offers(self) -> list[Offer]:
        """What all of the servers offer. Raises ConfigurationError."""
        found: list[Offer] = []
        for name in self._servers:
            try:
                session = await self._with(name)
                with anyio.fail_after(_CONNECT_SECONDS):
                    listed = await session.listed()
            except Exception as error:
                why = self._why(name, error)
                raise ConfigurationError(
                    f"MCP server {name!r} cannot be connected to: {why}"
                ) from None
            if len(listed) > MOST_TOOLS:
                raise ConfigurationError(
                    f"MCP server {name!r} offers more than {MOST_TOOLS} tools: each stands in"
                    " every prompt"
                )
            found += [made for each in listed.values() if (made := offer_of(name, *each))]
        return found

    async def called(self, offer: Offer, arguments: Mapping[str, Any]) -> str:
        """What a tool gives.

        Raises McpFailed; errors of ours that end the agent (a refused place, a stopped run).
        """
        try:
            session = await self._with(offer.server)
            if session.why is not None:
                raise McpFailed(session.why)
            return await session.called(offer, arguments)
        except (McpFailed, ConfigurationError) as error:
            raise McpFailed(str(error)) from None
        except GovernorError:
            raise
        except Exception as error:
            raise McpFailed(self._why(offer.server, error)) from None

    async def leave(self) -> None:
        """End all of them; nothing of a program runs on."""
        await asyncio.gather(*(each.end() for each in self._held.values()))
        if self._quarters is not None:
            await self._quarters.leave()

    async def _with(self, name: str) -> _Session:
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = _Held(asyncio.get_running_loop().create_future())
            held.task = asyncio.ensure_future(self._hold(self._servers[name], held))
        return await asyncio.shield(held.ready)

    async def _hold(self, server: McpServer, held: _Held) -> None:
        late = False
        task = asyncio.current_task()
        assert task is not None

        def too_late() -> None:
            nonlocal late
            late = True
            task.cancel()

        transport: Any = None
        try:
            async with AsyncExitStack() as stack:
                cell = None
                if server.command:
                    assert self._quarters is not None
                    # However long it waits for room.
                    cell = await stack.enter_async_context(self._quarters.server(server))
                timer = asyncio.get_running_loop().call_later(_CONNECT_SECONDS, too_late)
                try:
                    transport = self._speak(server, cell)
                    client = await stack.enter_async_context(_client(server, transport))
                finally:
                    timer.cancel()
                held.ready.set_result(_Session(client, transport))
                await held.leave.wait()
        except BaseException as error:
            if held.ready.done():
                return
            if isinstance(error, GovernorError):
                held.ready.set_exception(error)
                return
            why = getattr(transport, "why", None)
            why = why or (f"it does not answer in {_CONNECT_SECONDS:g} s" if late else _why(error))
            held.ready.set_exception(McpFailed(why))

    def _why(self, name: str, error: BaseException) -> str:
        """The session's own reason, where it has ended."""
        held = self._held.get(name)
        if held is not None and held.ready.done() and held.ready.exception() is None:
            return held.ready.result().why or _why(error)
        return _why(error)


def _client(server: McpServer, transport: Any) -> "Client":
    try:
        from mcp import Client
    except ImportError:
        raise ConfigurationError(
            f"MCP server {server.name!r} needs the package's extra: prefect-governor[mcp]"
        ) from None
    return Client(transport, read_timeout_seconds=_CALL_SECONDS, cache=None)


def _why(error: BaseException) -> str:
    """The innermost of the errors that the SDK's task groups wrap."""
    while isinstance(inner := getattr(error, "exceptions", None), tuple) and inner:
        error = inner[0]
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, NotFetched | McpFailed | GovernorError):
        return str(error)
    # It may quote the server, which may not write on a person's terminal.
    return f"{type(error).__name__}: {one_line(str(error), 200)}"
