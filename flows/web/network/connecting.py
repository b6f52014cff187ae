"""Connections through the guard: a host is resolved once, every address of it is judged, and what
is connected to is one of these very addresses.

It stands below the HTTP client, where sockets are opened, so that nothing above it (a redirect, a
connection that is opened anew) has another way. TLS and the `Host` header are of the name.
"""

import asyncio
import socket
import ssl
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from prefect_governor.flows.web.network.addresses import Address
from prefect_governor.flows.web.network.guard import NotFetched, Rules, read_host

# The addresses of a host, in the order in which they are to be tried.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Addresses of one host that are tried; each that does not answer takes its share of the time.
_MOST_TRIED = 4


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """What the machine's resolver says. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


@cache
def tls_context() -> ssl.SSLContext:
    """Of the certificates that httpx trusts; made once, as that takes 20 ms."""
    return httpx.create_ssl_context()


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections where the rules let it, and no others."""

    def __init__(self, rules: Rules, resolve: Resolve | None = None) -> None:
        self._rules = rules
        self._resolve = resolve or resolve_by_system
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises NotFetched where the host or one of its addresses may not be reached."""
        addresses = await self.addresses(host, port)
        problem: Exception | None = None
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return await self._backend.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        assert problem is not None
        raise problem

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise NotFetched("a socket of this machine is not reached")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """The addresses that may be connected to: those of the one time that it was asked for.

        Raises NotFetched if any of them may not be: a name that stands for both is a trap.
        """
        name, literal = read_host(host)
        self._rules.check(name, port, literal)
        if literal is not None:
            return [literal]
        try:
            found = await self._resolve(name, port)
            addresses = list(dict.fromkeys(ip_address(each) for each in found))
        except (OSError, UnicodeError):
            raise NotFetched(f"{name} has no address") from None
        except ValueError:
            raise NotFetched(f"{name} has an address that cannot be read") from None
        for address in addresses:
            self._rules.check_address(name, address)
        if not addresses:
            raise NotFetched(f"{name} has no address")
        return addresses[:_MOST_TRIED]


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx's transport over guarded connections. It knows no proxy: one would resolve the names
    itself."""

    def __init__(
        self, rules: Rules, resolve: Resolve | None = None, *, connections: int = 2
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context(),
            network_backend=GuardedBackend(rules, resolve),
            max_connections=connections,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises NotFetched where the guard refuses it, httpx's errors for all else."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors():
            reply = await self._pool.handle_async_request(asked)
        assert isinstance(reply.stream, AsyncIterable)
        return httpx.Response(
            status_code=reply.status,
            headers=reply.headers,
            stream=_Stream(reply.stream),
            extensions=reply.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


# What goes wrong with a connection, by the names that httpcore and httpx share.
_OF_A_CONNECTION = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except _OF_A_CONNECTION as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
