"""The strict provider under the hosts' own names: TLS in front of it, and everything passed on.

The certificate is made for the time of a run, by `openssl`. Who connects trusts it by
SSL_CERT_FILE, and is led here by `redirect`.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_CHUNK = 65536


class Front:
    """Listens on loopback for `hosts` while it is entered; `port` is where, `certificate` the file
    that is to be trusted."""

    def __init__(self, folder: Path, hosts: tuple[str, ...], provider_port: int) -> None:
        self.certificate, self._key = folder / "hosts.pem", folder / "hosts.key"
        self._provider_port = provider_port
        self.port = 0
        names = ",".join(f"DNS:{host}" for host in hosts)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=the strict provider",
             "-addext", f"subjectAltName={names}",
             "-keyout", str(self._key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self._listening: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        self._listening.result(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop, left = self._listening.result()
        loop.call_soon_threadsafe(left.set)
        self._thread.join(10)

    async def _listen(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._key)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        left = asyncio.Event()
        self._listening.set_result((asyncio.get_running_loop(), left))
        await left.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._provider_port)
        passing = [
            asyncio.create_task(_pass(reader, inner_writer)),
            asyncio.create_task(_pass(inner_reader, writer)),
        ]
        # At the end of the front all are left where they are.
        with suppress(asyncio.CancelledError):
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        # Who leaves one side is gone from the other.
        for each in (writer, inner_writer):
            each.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
