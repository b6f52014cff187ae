"""How an MCP server is reached: over HTTP through the guard, or as a program in a sandbox."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from prefect_governor.blocks.sandboxes.runtime import Cell
from prefect_governor.flows.mcp.lines import OnStdio
from prefect_governor.flows.mcp.servers import McpServer
from prefect_governor.flows.web.network.connecting import GuardedBackend, GuardedTransport, Resolve
from prefect_governor.flows.web.network.guard import NotFetched

# How a server is spoken to, in a cell where it is a program: what `mcp.Client` takes.
Speak = Callable[[McpServer, Cell | None], Any]

# Of one answer, in bytes; one that is a stream counts as a whole.
_MOST_BYTES = 32 * 2**20
_SECONDS = 30.0
# A server's own stream takes one for as long as it is connected; calls are made at once.
_MOST_CONNECTIONS = 32


def transport_of(
    server: McpServer, cell: Cell | None = None, *, resolve: Resolve | None = None
) -> Any:
    """What `mcp.Client` speaks to a server through. `cell` is what a program runs in."""
    if server.url is not None:
        return _over_http(server, resolve)
    assert cell is not None, "a program runs in a sandbox only"
    return OnStdio(server, cell)


@asynccontextmanager
async def _over_http(server: McpServer, resolve: Resolve | None) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    from prefect_governor.blocks.wire.httpx2_bridge import AsyncBridge

    target, rules = server.target, server.rules
    # Said here, in plain words, before the SDK asks and wraps it in its own.
    await GuardedBackend(rules, resolve).addresses(target.host, target.port)
    transport = AsyncBridge(
        _Bounded(GuardedTransport(rules, resolve, connections=_MOST_CONNECTIONS))
    )
    async with (
        httpx2.AsyncClient(
            transport=transport,
            headers=dict(server.headers),
            timeout=httpx2.Timeout(_SECONDS, read=300.0),
            trust_env=False,
        ) as client,
        streamable_http_client(target.url, http_client=client) as streams,
    ):
        yield streams


class _Bounded(httpx.AsyncBaseTransport):
    """Answers as they are, uncompressed, within a bound; a refusal of the guard is an error of the
    connection, which is what the SDK knows."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        try:
            reply = await self._inner.handle_async_request(request)
        except NotFetched as error:
            raise httpx.ConnectError(str(error)) from error
        if reply.headers.get("content-encoding", "identity") != "identity":
            await reply.aclose()
            raise httpx.ReadError("the answer is compressed, which was not asked for")
        assert isinstance(reply.stream, httpx.AsyncByteStream)
        return httpx.Response(
            reply.status_code, headers=reply.headers.raw, stream=_Counted(reply.stream)
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _MOST_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx.ReadError(f"the answer is larger than {_MOST_BYTES:,} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
