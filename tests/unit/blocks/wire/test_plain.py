"""What a pool of aiohttp's sends is what httpx would, by a connection that is there, and once."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
import httpx
import pytest

from prefect_governor.blocks.wire import pool
from prefect_governor.blocks.wire.pool import PooledTransport
from prefect_governor.blocks.wire.sockets import cut_all

SECONDS = 20.0
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def pooled() -> PooledTransport:
    return PooledTransport(httpx.Limits(keepalive_expiry=SECONDS))


class Provider:
    """In threads of its own: it goes on while a loop stands still. `answer` says what a connection
    is answered for its n-th request, None for a hanging up."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self.answer = answer
        self.came: list[bytes] = []
        self.ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with taken:
            for count in range(100):
                got = b""
                while not got.endswith(b"{}"):
                    try:
                        more = taken.recv(65536)
                    except OSError:
                        return
                    if not more:
                        return
                    got += more
                self.came.append(got)
                answer = self.answer(count)
                if answer is None:
                    break
                taken.sendall(answer)
        self.ended.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(SECONDS)


@contextmanager
def provider(answer: Callable[[int], bytes | None]) -> Iterator[Provider]:
    there = Provider(answer)
    try:
        yield there
    finally:
        there.close()


async def ask(transport: httpx.AsyncBaseTransport, url: str, method: str = "POST") -> bytes:
    reply = await transport.handle_async_request(httpx.Request(method, url, content=b"{}"))
    return await reply.aread()


class Once(Provider):
    """Ends each connection after its first reply, as one does whose patience with idle ones is
    short."""

    def _serve(self, taken: socket.socket) -> None:
        got = b""
        while not got.endswith(b"{}"):
            got += taken.recv(65536)
        self.came.append(got)
        taken.sendall(REPLY)
        taken.shutdown(socket.SHUT_RDWR)
        taken.close()
        self.ended.set()


async def test_connection_that_was_ended_while_the_loop_stood_still_is_not_sent_on() -> None:
    """Its request would fail and be charged as unconfirmed, though nobody was asked anything."""
    there = Once(lambda _: None)
    try:
        async with pooled() as transport:
            for _ in range(3):
                there.ended.clear()
                assert await ask(transport, there.url) == b"{}"
                # The loop stands still: it does not see the end.
                assert there.ended.wait(SECONDS)
        assert len(there.came) == 3
    finally:
        there.close()


async def test_first_call_after_the_connections_were_cut_gets_a_new_one() -> None:
    with provider(lambda _: REPLY) as there:
        async with pooled() as transport:
            assert await ask(transport, there.url) == b"{}"
            assert cut_all() >= 1
            assert await ask(transport, there.url) == b"{}"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_what_has_left_is_not_sent_again(method: str) -> None:
    """aiohttp by itself repeats a GET or PUT whose kept connection is ended."""
    with provider(lambda count: None if count else REPLY) as there:
        async with pooled() as transport:
            assert await ask(transport, there.url, method) == b"{}"
            with pytest.raises(httpx.TransportError) as caught:
                await ask(transport, there.url, method)
            assert not isinstance(caught.value, httpx.ConnectError)
        assert len(there.came) == 2


async def test_redirect_that_is_followed_is_sent() -> None:
    """httpx makes its request of a stream that nobody has read."""
    moved = b"HTTP/1.1 308 Moved\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"
    with provider(lambda count: REPLY if count else moved) as there:
        async with httpx.AsyncClient(transport=pooled(), follow_redirects=True) as client:
            assert (await client.post(there.url, content=b"{}")).content == b"{}"
        assert there.came[1].startswith(b"POST /there ")


async def test_reader_who_takes_longer_than_a_read_may_loses_nothing() -> None:
    """Of a reply that is paid for, too: the time counts while somebody waits for bytes."""
    came = asyncio.Event()

    async def pauses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(REPLY[:-1])
        asyncio.get_running_loop().call_later(0.3, rest, writer)

    def rest(writer: asyncio.StreamWriter) -> None:
        writer.write(REPLY[-1:])
        writer.close()
        came.set()

    server = await asyncio.start_server(pauses, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with pooled() as transport:
        times = {"timeout": httpx.Timeout(SECONDS, read=0.1).as_dict()}
        asked = httpx.Request("POST", url, content=b"{}", extensions=times)
        reply = await transport.handle_async_request(asked)
        pieces = reply.aiter_raw()
        assert await anext(pieces) == b"{"
        await came.wait()
        assert [piece async for piece in pieces] == [b"}"]
    server.close()


async def test_version_of_a_reply_is_its_own() -> None:
    with provider(lambda _: REPLY.replace(b"1.1", b"1.0", 1)) as there:
        async with pooled() as transport:
            asked = httpx.Request("POST", there.url, content=b"{}")
            reply = await transport.handle_async_request(asked)
            await reply.aread()
    assert reply.http_version == "HTTP/1.0"


def without(name: str) -> httpx.Request:
    made = httpx.Request("POST", "http://h/a", content=b"{}")
    del made.headers[name]
    return made


REQUESTS = {
    "framed in chunks": httpx.Request(
        "POST", "http://h/a", content=b"{}", headers={"transfer-encoding": "chunked"}
    ),
    "shorter than said": httpx.Request(
        "POST", "http://h/a", content=b"{}", headers={"content-length": "9"}
    ),
    "longer than said": httpx.Request(
        "POST", "http://h/a", content=b"{}", headers={"content-length": "1"}
    ),
    "two lengths": httpx.Request(
        "POST",
        "http://h/a",
        content=b"{}",
        headers=[("content-length", "2"), ("content-length", "1")],
    ),
    "no length": without("content-length"),
    "no host": without("host"),
    "one name in two spellings": httpx.Request(
        "POST", "http://h/a", content=b"{}", headers=[("x-a", "1"), ("X-A", "2")]
    ),
    "one name twice": httpx.Request(
        "POST", "http://h/a", content=b"{}", headers=[("cookie", 'a="b c"'), ("cookie", "d=e")]
    ),
    "empty query": httpx.Request("POST", "http://h/a?", content=b"{}"),
    "odd path": httpx.Request("POST", "http://h//a/../%2e/é;b?c=%7C|&d=+&e", content=b"{}"),
    "no method": httpx.Request("a b", "http://h/a", content=b"{}"),
    "no body": httpx.Request("POST", "http://h/a"),
}


@pytest.mark.parametrize("case", sorted(REQUESTS))
async def test_request_goes_out_as_httpx_sends_it(case: str) -> None:
    """A body whose framing is not what its head says is read as two requests, or as none."""
    came: list[bytes] = []
    over = asyncio.Event()

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.readuntil(b"\r\n\r\n")
        writer.write(REPLY)
        writer.write_eof()
        with suppress(ConnectionError):
            got += await reader.read()
        came.append(got)
        writer.close()
        over.set()

    server = await asyncio.start_server(takes, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = []
    for transport in (pooled(), httpx.AsyncHTTPTransport()):
        made = REQUESTS[case]
        where = made.url.copy_with(host="127.0.0.1", port=port)
        asked = httpx.Request(made.method, where, content=made.content)
        asked.headers = made.headers
        came.clear()
        over.clear()
        error = None
        try:
            await (await transport.handle_async_request(asked)).aread()
        except Exception as raised:
            # What httpx says of a wrong length is h11's word.
            error = type(raised).__name__
        await transport.aclose()
        if error is None:
            with anyio.fail_after(SECONDS):
                await over.wait()
        # What a provider gets of what is not valid is no request: what comes of it is httpx's word.
        head, _, body = b"".join(came if error is None else []).partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        found.append((error, first, sorted(line.lower() for line in lines), body))
    server.close()
    assert found[0] == found[1]


def test_child_of_a_fork_amid_a_first_call_can_call() -> None:
    """The lock that a thread of its parent held is never let go there."""
    transport = pooled()
    with provider(lambda _: REPLY) as there:
        with pool._lock:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = 0 if asyncio.run(ask(transport, there.url)) == b"{}" else 2
                finally:
                    os._exit(status)
        deadline, ended = time.monotonic() + SECONDS, (0, 0)
        while not ended[0] and time.monotonic() < deadline:
            ended = os.waitpid(child, os.WNOHANG)
            threading.Event().wait(0.01)
        if not ended[0]:
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert ended == (child, 0)
