"""A closed call and the one sent in its place, seen by the server in one turn of its loop."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson

from tests.provider.app import Provider
from tests.provider.checks.conftest import body, raw_request
from tests.provider.config import Config
from tests.provider.process import ProviderProcess
from tests.provider.wire import Connection


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.written += b"(closed)"


def _connect(provider: Provider) -> tuple[Connection, Wire]:
    connection, wire = Connection(provider.arrive), Wire()
    connection.connection_made(wire)
    return connection, wire


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _stats(provider: Provider) -> dict[str, Any]:
    connection, wire = _connect(provider)
    connection.data_received(b"GET /_provider/stats HTTP/1.1\r\nhost: x\r\n\r\n")
    await _turns()
    stats: dict[str, Any] = orjson.loads(wire.written.partition(b"\r\n\r\n")[2])
    return stats


async def test_closed_call_and_its_successor_are_not_open_together() -> None:
    provider = Provider(Config(latency_seconds=60))
    first, _ = _connect(provider)
    second, _ = _connect(provider)
    first.data_received(raw_request("first"))
    await _turns()
    assert (await _stats(provider))["open"] == 1
    # The client closed `first` and then sent `second`, but the loop shows them the other way round.
    second.data_received(raw_request("second"))
    first.eof_received()
    await _turns()
    stats = await _stats(provider)
    assert (stats["open"], stats["max_open"], stats["requests"]) == (1, 1, 2)
    second.connection_lost(None)
    await _turns()
    assert (await _stats(provider))["open"] == 0


async def test_call_whose_client_left_before_it_was_read_is_billed_but_was_never_open() -> None:
    provider = Provider(Config(latency_seconds=60))
    left, _ = _connect(provider)
    successor, _ = _connect(provider)
    left.data_received(raw_request("left"))
    successor.data_received(raw_request("successor"))
    # A selector loop reads a connection once a turn: data first, its end in the next.
    await asyncio.sleep(0)
    left.eof_received()
    await _turns()
    stats = await _stats(provider)
    assert (stats["open"], stats["max_open"], stats["requests"]) == (1, 1, 2)
    assert (stats["billed_calls"], stats["abandoned"]) == (1, 1)
    successor.connection_lost(None)
    await _turns()


async def test_call_is_open_until_its_last_byte_has_left() -> None:
    provider = Provider(Config())
    connection, wire = _connect(provider)
    connection.pause_writing()
    connection.data_received(raw_request("hi"))
    await _turns()
    assert b"total_tokens" in wire.written
    assert (await _stats(provider))["open"] == 1
    connection.resume_writing()
    await _turns()
    assert (await _stats(provider))["open"] == 0


async def test_calls_given_up_for_others_are_never_counted_as_open_with_them(
    judge: ProviderProcess,
) -> None:
    judge.renew(latency_seconds=0.02)
    cap = asyncio.Semaphore(10)
    async with httpx.AsyncClient(base_url=judge.api_base, trust_env=False) as client:

        async def call(index: int) -> None:
            # Every second call is given up before its reply, and its connection closed.
            timeout = httpx.Timeout(60, read=0.005 if index % 2 else 60)
            async with cap:
                try:
                    await client.post("/chat/completions", json=body(str(index)), timeout=timeout)
                except httpx.ReadTimeout:
                    return

        await asyncio.gather(*(call(index) for index in range(150)))
    stats = judge.settled_stats()
    assert stats["abandoned"] > 5
    assert stats["max_open"] == 10
