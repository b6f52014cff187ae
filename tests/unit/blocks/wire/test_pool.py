"""What the pool of aiohttp's says of a request: what left of it, when it was given up, by whom."""

import asyncio
import cProfile
import gc
import gzip
import json
import logging
import os
import pstats
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from prefect_governor.blocks.wire.pool import PooledTransport
from prefect_governor.blocks.wire.replies.verdict import outcome_of_error
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.unit.blocks.wire.transports import SECRET
from tests.unit.fakes import FakeGoverning, chat_reply, chat_request

SECONDS = 20.0
OWN = "é ü"
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pooled() -> PooledTransport:
    return PooledTransport(httpx.Limits(keepalive_expiry=5.0))


def reply(body: bytes, *more: str) -> bytes:
    head = ["HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*head, *more, "", ""]).encode() + body


async def read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + (await reader.readexactly(int(length)) if length else b"")


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read(reader)
        writer.write(reply(json.dumps(chat_reply()).encode()))


@asynccontextmanager
async def at(peer: Peer) -> AsyncIterator[str]:
    """The address of a provider that does this with each connection."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
    finally:
        server.close()


async def post(
    url: str, governing: FakeGoverning, *, timeout: httpx.Timeout | float = SECONDS, text: str = "?"
) -> httpx.Response:
    transport = GovernedAsyncTransport(pooled(), governing, provider="openai")
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
        return await client.post(
            url,
            json=chat_request(messages=[{"role": "user", "content": text}]),
            headers={"authorization": f"Bearer {SECRET}"},
        )


async def test_what_was_never_connected_is_given_back_and_names_no_key() -> None:
    governing = FakeGoverning()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1/chat/completions?key={SECRET}"
    with pytest.raises(httpx.ConnectError) as caught:
        await post(url, governing)
    assert governing.desk.outcomes == ["void"]
    assert SECRET not in repr(caught.value)


async def test_what_was_cancelled_before_it_was_connected_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, over = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        asked.set()
        over.wait(SECONDS)
        raise OSError("nobody")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    governing = FakeGoverning()
    task = asyncio.create_task(post("http://provider.test/v1/chat/completions", governing))
    try:
        assert await asyncio.to_thread(asked.wait, SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        over.set()
    assert governing.desk.outcomes == ["void"]


async def test_call_that_takes_too_long_to_connect_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(SECONDS))
    governing = FakeGoverning()
    try:
        with pytest.raises(httpx.ConnectTimeout):
            await post(
                "http://provider.test/v1/chat/completions",
                governing,
                timeout=httpx.Timeout(SECONDS, connect=0.05),
            )
    finally:
        over.set()
    assert governing.desk.outcomes == ["void"]


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(reply(json.dumps(chat_reply()).encode())[:-5])


async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize("peer", [hangs_up, breaks_off, talks_nonsense])
async def test_what_left_and_was_not_answered_whole_stays_charged(peer: Peer) -> None:
    governing = FakeGoverning()
    async with at(peer) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await post(url, governing)
    assert governing.desk.outcomes == ["unconfirm"]


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    await reader.read()


async def begins(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(reply(json.dumps(chat_reply()).encode())[:-5])
    await reader.read()


@pytest.mark.parametrize("peer", [says_nothing, begins])
async def test_call_that_is_not_answered_in_time_stays_charged(peer: Peer) -> None:
    governing = FakeGoverning()
    async with at(peer) as url:
        with pytest.raises(httpx.ReadTimeout):
            await post(url, governing, timeout=httpx.Timeout(SECONDS, read=0.05))
    assert governing.desk.outcomes == ["unconfirm"]


async def test_request_that_its_peer_does_not_take_is_given_up_and_stays_charged() -> None:
    over = asyncio.Event()

    async def takes_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with at(takes_nothing) as url, pooled() as transport:
        # More than the kernel keeps for either side.
        asked = httpx.Request(
            "POST", url, content=bytes(2**25), extensions={"timeout": {"write": 0.05}}
        )
        try:
            with pytest.raises(httpx.WriteTimeout) as caught:
                await transport.handle_async_request(asked)
        finally:
            over.set()
    assert outcome_of_error(caught.value) == "unconfirm"


async def test_large_request_arrives_whole() -> None:
    came: list[bytes] = []

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await read(reader))
        writer.write(reply(json.dumps(chat_reply()).encode()))

    governing, text = FakeGoverning(), "ab " * 700_000
    async with at(takes) as url:
        await post(url, governing, text=text)
    body = came[0].partition(b"\r\n\r\n")[2]
    assert json.loads(body)["messages"][0]["content"] == text
    assert governing.desk.outcomes == ["settle"]


async def test_compressed_reply_is_decoded_once_and_its_usage_read() -> None:
    async def compresses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        packed = gzip.compress(json.dumps(chat_reply()).encode())
        writer.write(reply(packed, "content-encoding: gzip"))

    governing = FakeGoverning()
    async with at(compresses) as url:
        answer = await post(url, governing)
    assert answer.json() == chat_reply()
    assert governing.desk.outcomes == ["settle"]


async def test_request_goes_out_with_what_it_holds_and_nothing_of_aiohttps() -> None:
    came: list[bytes] = []

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await read(reader))
        writer.write(reply(b"{}"))

    async with at(takes) as url, pooled() as transport:
        for text in (OWN.encode("utf-8"), OWN.encode("latin-1")):
            asked = httpx.Request("POST", f"{url}?a=%2F+b", content=b"{}")
            asked.headers = httpx.Headers([*asked.headers.raw, (b"x-own", text)])
            await (await transport.handle_async_request(asked)).aread()
    for request, encoding in zip(came, ("utf-8", "latin-1"), strict=True):
        head = request.partition(b"\r\n\r\n")[0].decode(encoding).split("\r\n")
        assert head[0] == "POST /v1/chat/completions?a=%2F+b HTTP/1.1"
        assert sorted(line.lower() for line in head[1:]) == [
            "content-length: 2", f"host: {url.split('/')[2]}", f"x-own: {OWN}",
        ]  # fmt: skip


async def test_body_that_comes_in_pieces_is_sent() -> None:
    came = asyncio.Event()

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        came.set()
        writer.write(reply(b"{}"))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with at(takes) as url, pooled() as transport:
        asked = httpx.Request("POST", url, content=pieces())
        assert (await transport.handle_async_request(asked)).status_code == 200
    assert came.is_set()


def test_each_loop_has_connections_of_its_own_and_none_is_missed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = pooled()

    async def ask(transport: PooledTransport) -> None:
        async with at(answers) as url:
            asked = httpx.Request("POST", url, content=b"{}")
            answer = await transport.handle_async_request(asked)
            assert answer.status_code == 200
            await answer.aread()

    with caplog.at_level(logging.DEBUG, "asyncio"):
        for _ in range(3):
            asyncio.run(ask(transport))
        assert len(transport._pools) == 1
        del transport
        gc.collect()
    assert not [each for each in caplog.messages if "nclosed" in each]


async def test_child_neither_uses_nor_ends_what_its_parent_talks_over() -> None:
    ended = asyncio.Event()

    async def tells(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answers(reader, writer)
        finally:
            ended.set()

    transport = pooled()
    async with at(tells) as url:
        asked = httpx.Request("POST", url, content=b"{}")
        await (await transport.handle_async_request(asked)).aread()
        pid = os.fork()
        if pid == 0:
            del transport
            gc.collect()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        await (await transport.handle_async_request(asked)).aread()
        assert not ended.is_set()
        await transport.aclose()
        await asyncio.wait_for(ended.wait(), SECONDS)


async def steps(width: int, *, count: int = 30) -> float:
    """How many functions are called for a request of ours, with so many others in flight."""
    over, waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read(reader)
            if b"x-wait" in head:
                waiting.release()
                await over.wait()
            writer.write(reply(b"{}"))

    async with at(waits) as url, pooled() as transport:

        async def ask(**headers: str) -> None:
            asked = httpx.Request("POST", url, content=b"{}", headers=headers)
            await (await transport.handle_async_request(asked)).aread()

        others = [asyncio.create_task(ask(**{"x-wait": "yes"})) for _ in range(width)]
        for _ in range(width):
            await waiting.acquire()
        await ask()
        with cProfile.Profile() as profile:
            for _ in range(count):
                await ask()
        over.set()
        await asyncio.gather(*others)
    called = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return float(called) / count


async def test_request_takes_no_more_steps_with_many_in_flight() -> None:
    assert await steps(100) < 1.2 * await steps(2)


async def test_reply_of_more_headers_than_aiohttp_takes_by_itself_is_read() -> None:
    more = [f"x-more-{number}: {number}" for number in range(500)]

    async def says_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(reply(b"{}", *more))

    async with at(says_much) as url, pooled() as transport:
        response = await transport.handle_async_request(httpx.Request("POST", url, content=b"{}"))
        assert await response.aread() == b"{}"
        await response.aclose()
    assert response.headers["x-more-499"] == "499"
