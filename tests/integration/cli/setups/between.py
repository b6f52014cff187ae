"""A server between a client and Prefect's: what it passes on is real, but for what is changed."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prefect.settings import PREFECT_API_URL, temporary_settings

Change = Callable[[str, Any], Any]


@contextmanager
def changing(url: str, change: Change, *, ahead_seconds: float = 0) -> Iterator[None]:
    """Prefect's API is reached through it: `change(path, body)` is what a GET is answered with.
    `ahead_seconds`: of its clock."""

    class Between(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/api")
            with urllib.request.urlopen(f"{url}{path}", timeout=10) as reply:
                body = json.dumps(change(path, json.load(reply))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead_seconds, usegmt=True)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as there:
        thread = threading.Thread(target=there.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        with configured(f"http://127.0.0.1:{there.server_port}/api"):
            yield
        there.shutdown()


@contextmanager
def configured(url: str | None) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: url}):
        yield


@contextmanager
def silent() -> Iterator[str]:
    """An address where whoever connects is never answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"
