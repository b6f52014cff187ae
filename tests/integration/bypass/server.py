"""A server that is no provider: it keeps what it is sent, and answers as it is told."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """`seen`: the path and the body of each request."""

    url: str = ""
    seen: list[tuple[str, bytes]] = field(default_factory=list)


# Of a path, the status and the headers of its reply.
Answer = Callable[[str], tuple[int, dict[str, str]]]


@contextmanager
def serving(
    answer: Answer = lambda path: (200, {}), *, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            server.seen.append((self.path, body))
            status, headers = answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "content-length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        # A handshake that fails ends its connection alone, in the server's own words.
        listening.handle_error = lambda *given: None  # type: ignore[method-assign]
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
