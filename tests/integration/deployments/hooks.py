"""A place on loopback that notifications are sent to, and that keeps what it was told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Hook:
    """`told` has each message's body, `status` is what they are answered with."""

    url: str
    status: int = 200
    told: list[Any] = field(default_factory=list)


@contextmanager
def hook() -> Iterator[Hook]:
    """One that listens meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.told.append(json.loads(body))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        found = Hook(f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield found
        listening.shutdown()
        thread.join()
