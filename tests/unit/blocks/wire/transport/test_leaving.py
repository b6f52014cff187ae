"""Whoever leaves a stream at its last word has it settled; nobody is kept for long for it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import prefect_governor.blocks.wire.transport as transports
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.blocks.wire.transports import POOLS, URL
from tests.unit.fakes import FakeGoverning, FakeProvider, chat_events, chat_request, event_stream

KINDS = pytest.mark.parametrize("kind", ["async", "blocking"])


def leave(
    kind: str, governing: FakeGoverning, inner: Any, last: bytes, *, url: str = URL, **asked: Any
) -> None:
    """Reads a stream up to the piece that holds `last`, and leaves it."""
    body = chat_request(stream=True, **asked)
    if kind == "blocking":
        with (
            httpx.Client(transport=GovernedTransport(inner, governing)) as client,
            client.stream("POST", url, json=body) as reply,
        ):
            for piece in reply.iter_bytes():
                if last in piece:
                    break
        return

    async def read() -> None:
        governed = GovernedAsyncTransport(inner, governing)
        async with (
            httpx.AsyncClient(transport=governed) as client,
            client.stream("POST", url, json=body) as reply,
        ):
            async for piece in reply.aiter_bytes():
                if last in piece:
                    break

    asyncio.run(read())


@KINDS
def test_stream_that_is_left_at_its_last_word_is_settled(kind: str) -> None:
    governing = FakeGoverning()
    provider = FakeProvider([event_stream(chat_events(1001, 7))])
    leave(kind, governing, provider, b'"finish_reason": "stop"')
    assert governing.desk.outcomes == ["settle"]


@KINDS
def test_stream_that_is_left_before_its_last_word_stays_charged(kind: str) -> None:
    governing = FakeGoverning()
    leave(kind, governing, FakeProvider([event_stream(chat_events())]), b"hello")
    assert governing.desk.outcomes == ["unconfirm"]


@KINDS
def test_stream_of_several_answers_is_not_read_on_before_each_has_ended(kind: str) -> None:
    other = {"index": 1, "delta": {"content": "more"}, "finish_reason": None}
    began = b"data: " + json.dumps({"choices": [other]}).encode() + b"\n\n"
    governing = FakeGoverning()
    provider = FakeProvider([event_stream([began, *chat_events()])])
    leave(kind, governing, provider, b'"finish_reason": "stop"', n=2)
    assert governing.desk.outcomes == ["unconfirm"]


@KINDS
def test_stream_whose_end_breaks_after_its_last_word_stays_charged(kind: str) -> None:
    governing = FakeGoverning()
    broken: list[bytes | Exception] = [
        *chat_events(prompt=None, done=False),
        httpx.ReadError("cut"),
    ]
    leave(kind, governing, FakeProvider([event_stream(broken)]), b'"finish_reason": "stop"')
    assert governing.desk.outcomes == ["unconfirm"]


@pytest.fixture
def silent() -> Iterator[str]:
    """A provider that says the last word, and nothing after it."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(65536)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            peer.sendall(head + b"".join(chat_events(prompt=None, done=False)))
            over.wait(60)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
    over.set()
    thread.join()
    listening.close()


@pytest.mark.parametrize("kind", ["async", "async, httpcore", "blocking"])
def test_provider_that_says_nothing_after_the_last_word_keeps_nobody(
    kind: str, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "LEAVING_SECONDS", 0.05)
    governing = FakeGoverning()
    pool = "httpcore" if "httpcore" in kind else "aiohttp"
    inner: Any = httpx.HTTPTransport() if kind == "blocking" else POOLS[pool]()
    leave(kind, governing, inner, b'"finish_reason": "stop"', url=silent)
    assert governing.desk.outcomes == ["unconfirm"]


class Whatever(httpx.AsyncHTTPTransport):
    """May send by any means."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError


async def test_call_through_a_transport_that_does_not_tell_stays_charged() -> None:
    governing = FakeGoverning()
    async with httpx.AsyncClient(transport=GovernedAsyncTransport(Whatever(), governing)) as client:
        with pytest.raises(asyncio.CancelledError):
            await client.post(URL, json=chat_request())
    assert governing.desk.outcomes == ["unconfirm"]
