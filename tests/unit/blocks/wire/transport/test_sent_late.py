"""How long after its admission a request has left is told with its end: so much later the provider
counts it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.fakes import FakeDesk, FakeGoverning, chat_reply, chat_request


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(chat_reply()).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    server.shutdown()
    thread.join()
    server.server_close()


def told(desk: FakeDesk) -> float:
    (signals,) = desk.signals
    assert signals is not None
    return signals.delay_seconds


def test_of_a_blocking_call(url: str) -> None:
    desk = FakeDesk(age=1.5)
    transport = GovernedTransport(httpx.HTTPTransport(), FakeGoverning(desk))
    with httpx.Client(transport=transport) as client:
        client.post(url, json=chat_request())
    assert told(desk) == 1.5


async def test_of_a_call_on_a_loop(url: str, pool: Callable[[], httpx.AsyncBaseTransport]) -> None:
    desk = FakeDesk(age=2.5)
    transport = GovernedAsyncTransport(pool(), FakeGoverning(desk))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(url, json=chat_request())
    assert told(desk) == 2.5
