"""Between a client and a server: a proxy that loses replies after the server has done its work."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

import httpx
from typing_extensions import Self


class LossyProxy:
    """In front of the server at `url`, at a port of its own.

    Attributes:
        url: what the client is told.
        lose: the ends of paths of which each reply is lost: its connection is closed instead.
        chance: whether one of them is lost, asked with its path's end; by default all are.
        cut: whether a request of those ends is lost before the server has it.
        lost: how many were, by those.
        asked: the requests that there were, by method and path.
    """

    def __init__(self, url: str) -> None:
        self.lose: set[str] = set()
        self.chance: Callable[[str], bool] = lambda end: True
        self.cut: Callable[[str], bool] = lambda end: False
        self.lost: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        upstream = urlsplit(url)
        self._client = httpx.Client(base_url=f"{upstream.scheme}://{upstream.netloc}", timeout=30)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{upstream.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in ("host", "connection", "accept-encoding")
                }
                proxy.asked[f"{self.command} {self.path}"] += 1
                ends = [end for end in proxy.lose if self.path.endswith(end)]
                for end in ends:
                    if proxy.cut(end):
                        proxy.lost[f"before {end}"] += 1
                        self.close_connection = True
                        return
                try:
                    reply = proxy._client.request(
                        self.command, self.path, content=body, headers=headers
                    )
                except httpx.TransportError:
                    self.close_connection = True
                    return
                for end in ends:
                    if proxy.chance(end):
                        proxy.lost[end] += 1
                        self.close_connection = True
                        return
                self.send_response(reply.status_code)
                for name in ("content-type", "retry-after"):
                    if name in reply.headers:
                        self.send_header(name, reply.headers[name])
                if reply.status_code != 204:
                    self.send_header("content-length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()
