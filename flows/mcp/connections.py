"""The MCP servers of a run: connected on an event loop of their own, as the run's agents work on
several, and asked through the guard."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, TimeoutError
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.agent.tools import MOST_CHARACTERS, Tool
from prefect_governor.flows.mcp.offers import MOST_TOOLS, Offer, digest_of, offer_of, text_of
from prefect_governor.flows.mcp.servers import McpServer
from prefect_governor.flows.web.network.guard import NotFetched

if TYPE_CHECKING:
    from mcp import Client

# The program that runs a server's own in a sandbox: its arguments, with those of the server after
# them.
Confine = Callable[[Sequence[str]], Sequence[str]]
# How a server is spoken to: its transport, as `mcp.Client` takes it.
Speak = Callable[[McpServer], Any]

_CONNECT_SECONDS = 20.0
_CALL_SECONDS = 60.0
_LEAVE_SECONDS = 10.0
_MOST_PAGES = 20


class McpFailed(Exception):
    """A tool of an MCP server that gave nothing; the message says why."""


@dataclass
class _Connection:
    server: McpServer
    client: "Client"
    offers: dict[str, Offer] = field(default_factory=dict)


@contextmanager
def mcp_tools(servers: Sequence[McpServer], speak: Speak) -> Iterator[list[Tool]]:
    """The tools of these servers, each by the server's name and its own; connected until the block
    is left.

    Raises ConfigurationError where one of them cannot be connected to, or two tools get one name.
    """
    if not servers:
        yield []
        return
    with _loop() as loop:
        ready: Future[list[_Connection]] = Future()
        leave = asyncio.Event()
        serving = asyncio.run_coroutine_threadsafe(_serve(servers, speak, ready, leave), loop)
        try:
            yield _tools(ready.result(_CONNECT_SECONDS), loop)
        except TimeoutError:
            if ready.done():
                raise
            names = ", ".join(repr(each.name) for each in servers)
            raise ConfigurationError(
                f"MCP servers {names} are not all connected after {_CONNECT_SECONDS:g} s"
            ) from None
        finally:
            _end(serving, loop, leave if ready.done() else None)


def _end(
    serving: "Future[None]", loop: asyncio.AbstractEventLoop, leave: asyncio.Event | None
) -> None:
    """Leave the servers, or those that are still being entered; whichever takes too long is cut."""
    if leave is not None:
        loop.call_soon_threadsafe(leave.set)
        with suppress(TimeoutError):
            serving.exception(_LEAVE_SECONDS)
    serving.cancel()
    with suppress(CancelledError, TimeoutError):
        serving.exception(_LEAVE_SECONDS)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mcp", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(
    servers: Sequence[McpServer],
    speak: Speak,
    ready: "Future[list[_Connection]]",
    leave: asyncio.Event,
) -> None:
    """One task enters and leaves all of them, as the SDK's scopes want it."""
    try:
        async with AsyncExitStack() as stack:
            ready.set_result(
                [await stack.enter_async_context(_connected(each, speak)) for each in servers]
            )
            await leave.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)


@asynccontextmanager
async def _connected(server: McpServer, speak: Speak) -> AsyncIterator[_Connection]:
    try:
        from mcp import Client
    except ImportError:
        raise ConfigurationError(
            f"MCP server {server.name!r} needs the package's extra: prefect-governor[mcp]"
        ) from None
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                Client(speak(server), read_timeout_seconds=_CALL_SECONDS, cache=None)
            )
            connection = _Connection(server, client)
            connection.offers = await _offers(connection)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"MCP server {server.name!r} cannot be connected to: {_why(error)}"
            ) from None
        yield connection


async def _listed(client: "Client") -> dict[str, tuple[str, str | None, Any]]:
    found: dict[str, tuple[str, str | None, Any]] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for each in page.tools[: MOST_TOOLS + 1]:
            found.setdefault(each.name, (each.name, each.description, each.input_schema))
        cursor = page.next_cursor
        if cursor is None or len(found) > MOST_TOOLS:
            break
    return found


async def _offers(connection: _Connection) -> dict[str, Offer]:
    name = connection.server.name
    listed = await _listed(connection.client)
    if len(listed) > MOST_TOOLS:
        raise ConfigurationError(
            f"MCP server {name!r} offers more than {MOST_TOOLS} tools: each stands in every prompt"
        )
    offers = [offer for each in listed.values() if (offer := offer_of(name, *each)) is not None]
    return {offer.theirs: offer for offer in offers}


def _tools(connections: Sequence[_Connection], loop: asyncio.AbstractEventLoop) -> list[Tool]:
    tools: dict[str, Tool] = {}
    for connection in connections:
        for offer in connection.offers.values():
            if offer.name in tools:
                raise ConfigurationError(f"two tools of MCP servers are named {offer.name!r}")
            tools[offer.name] = _tool(connection, offer, loop)
    return list(tools.values())


def _tool(connection: _Connection, offer: Offer, loop: asyncio.AbstractEventLoop) -> Tool:
    async def call(**arguments: Any) -> str:
        asked = asyncio.run_coroutine_threadsafe(_called(connection, offer, arguments), loop)
        return await asyncio.wrap_future(asked)

    call.__name__, call.__doc__ = offer.name, offer.description
    return Tool(offer.name, offer.description, offer.schema, call)


async def _called(connection: _Connection, offer: Offer, arguments: Mapping[str, Any]) -> str:
    """What the tool gives; one whose server says something else of it by now is not called."""
    client = connection.client
    try:
        with anyio.fail_after(_CALL_SECONDS):
            now = (await _listed(client)).get(offer.theirs)
            if now is None or digest_of(*now) != offer.digest:
                raise McpFailed("the server changed what it says of this tool; it is not called")
            result = await client.call_tool(offer.theirs, dict(arguments))
    except McpFailed:
        raise
    except Exception as error:
        raise McpFailed(_why(error)) from None
    text = text_of(result.content, result.structured_content, most=MOST_CHARACTERS)
    return f"error: {text}" if result.is_error else text


def _why(error: BaseException) -> str:
    """The innermost of the errors that the SDK's task groups wrap."""
    while isinstance(inner := getattr(error, "exceptions", None), tuple) and inner:
        error = inner[0]
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, NotFetched):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
