"""A web site of the tests on loopback, real sockets and all; and a trap on the addresses beside it,
which nothing that is fetched may reach."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from prefect_governor.flows.web.network.addresses import Address, why_not_public
from prefect_governor.flows.web.network.guard import PORTS, Rules

# Of all of loopback, the one address that the tests' rule calls public.
PUBLIC = "127.0.0.2"
# Where the trap listens: what a guard that reads an address otherwise would connect to.
TRAPS = ("127.0.0.1", "127.0.0.3", "::1")
NAME = "pages.example.org"

Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(
    body: bytes | str = b"", *, status: int = 200, type: str = "text/plain", **headers: Any
) -> bytes:
    """The bytes of a reply."""
    data = body.encode() if isinstance(body, str) else body
    told = {"content_type": type, "content_length": str(len(data)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in told.items() if value]
    head = "\r\n".join([f"HTTP/1.1 {status} As Told", *lines, "connection: close", "", ""])
    return head.encode() + data


def redirect(to: str, status: int = 302) -> bytes:
    return reply(status=status, location=to)


@dataclass(frozen=True)
class Asked:
    """A request as it came in: to which address, of which host, with which headers."""

    address: str
    path: str
    headers: dict[str, str]


@dataclass
class Site:
    """Replies by path, `/to/URL` redirects; what was asked is kept."""

    port: int
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    trapped: list[str] = field(default_factory=list)
    # The names that TLS was asked for.
    named: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{NAME}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked if each.path != "/robots.txt"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        if address != PUBLIC:
            self.trapped.append(address)
            writer.close()
            return
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            # What is left unread would cut the reply off.
            await reader.readexactly(int(headers.get("content-length", 0)))
            self.asked.append(Asked(address, path, headers))
            said = self.replies.get(path.partition("?")[0], reply(status=404))
            if path.startswith("/to/"):
                said = redirect(unquote(path.removeprefix("/to/")))
            if isinstance(said, bytes):
                writer.write(said)
                await writer.drain()
            else:
                await said(writer)
        writer.close()


class Resolver:
    """Names by what they stand for, each time that they are asked for; the last of several stays.
    A name that nobody knows has no address."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self._names = {name.replace("__", "."): list(each) for name, each in names.items()}
        self._names.setdefault(NAME, [[PUBLIC]])
        self.asked: list[str] = []

    def know(self, name: str, *answers: Sequence[str]) -> None:
        self._names[name] = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._names.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def not_public(address: Address) -> str | None:
    """The real rule, with one exception."""
    return None if address == ip_address(PUBLIC) else why_not_public(address)


def rules_for(site: Site, **more: object) -> Rules:
    rules = {"ports": PORTS | {site.port}, "not_public": not_public, **more}
    return Rules(**rules)  # type: ignore[arg-type]


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """The site, and the trap at the same port of the addresses beside it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with socket.create_server((PUBLIC, 0)) as held:
        site = Site(held.getsockname()[1])
    addresses = [PUBLIC, *TRAPS] if socket.has_ipv6 else [PUBLIC, *TRAPS[:-1]]

    async def start() -> list[asyncio.Server]:
        return [
            await asyncio.start_server(site.serve, address, site.port, ssl=tls, limit=2**20)
            for address in addresses
        ]

    servers = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield site
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
