"""Names of hosts that lead to the front, and no others that lead anywhere. For the worker's process
alone, before anything has connected."""

from __future__ import annotations

import socket
from typing import Any

_TLS = 443
_ADDRESS = ("127.0.0.1", _TLS)


def redirect(hosts: frozenset[str], port: int) -> None:
    """From here on each of `hosts` is at `port` of this machine; any other name is unknown."""
    getaddrinfo, connect = socket.getaddrinfo, socket.socket.connect
    local = {"localhost", "127.0.0.1", "::1", socket.gethostname()}

    def looked_up(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in hosts:
            return getaddrinfo("127.0.0.1", *rest, **more)
        if name is None or name in local:
            return getaddrinfo(host, *rest, **more)
        raise socket.gaierror(socket.EAI_NONAME, f"no host of this program's: {name}")

    def connected(self: socket.socket, address: Any) -> None:
        led = isinstance(address, tuple) and tuple(address[:2]) == _ADDRESS
        connect(self, ("127.0.0.1", port) if led else address)

    socket.getaddrinfo = looked_up
    everyones: Any = socket.socket
    everyones.connect = connected
