"""What is open, for how long, and what is left when somebody dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.provider.books.log import (
    first_full,
    in_flight_seconds,
    max_in_flight,
    read_log,
    utilization,
)
from tests.provider.checks.conftest import body, raw_request
from tests.provider.fixtures import MakeProvider
from tests.provider.process import ProviderError, ProviderProcess


async def _many(judge: ProviderProcess, n: int, **fields: Any) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=judge.api_base, trust_env=False, limits=limits, timeout=30
    ) as client:
        calls = [client.post("/chat/completions", json=body(f"{i}", **fields)) for i in range(n)]
        return await asyncio.gather(*calls)


async def test_max_open_is_what_was_really_open_at_once(judge: ProviderProcess) -> None:
    judge.renew(latency_seconds=0.5)
    await _many(judge, 40)
    stats, records = judge.settled_stats(), judge.log()
    assert stats["max_open"] == max_in_flight(records) == 40
    assert max(record["open_at_arrival"] for record in records) == 40
    assert stats["in_flight_seconds"] >= 40 * 0.5
    total = in_flight_seconds(records, 0, stats["now"])
    assert total == pytest.approx(stats["in_flight_seconds"], rel=1e-3)


async def test_refused_calls_count_as_open_and_are_told_when_to_come_again(
    judge: ProviderProcess,
) -> None:
    judge.renew(latency_seconds=0.5, limits={"max_concurrent": 5})
    replies = await _many(judge, 12)
    stats = judge.settled_stats()
    assert [reply.status_code for reply in replies].count(429) == 7
    assert stats["throttled_by"] == {"max_concurrent": 7}
    assert stats["billed_calls"] == 5
    assert stats["max_open"] > 5  # those just being refused are open too
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_rate_is_refused_with_openai_s_headers(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(limits={"requests_per_minute": 2, "tokens_per_minute": 1000, "kind": "sliding"})
    replies = [client.post("/chat/completions", json=body()) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[1].headers["x-ratelimit-remaining-requests"] == "0"
    assert replies[2].headers["x-ratelimit-limit-tokens"] == "1000"
    assert 50 <= int(replies[2].headers["retry-after"]) <= 60
    assert judge.stats()["throttled_by"] == {"requests_per_minute": 1}


@pytest.mark.parametrize(("billing", "billed"), [(True, 1), (False, 0)])
def test_client_that_goes_away_ends_the_call_at_once_and_is_billed(
    judge: ProviderProcess, client: httpx.Client, billing: bool, billed: int
) -> None:
    judge.renew(latency_seconds=60, bill_abandoned=billing)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/chat/completions", json=body(), timeout=0.2)
    stats = judge.settled_stats()
    assert (stats["abandoned"], stats["billed_calls"]) == (1, billed)
    (record,) = judge.log()
    assert record["end"] - record["arrival"] < 5
    assert (record["status"], record["abandoned"]) == (None, True)


def test_client_that_leaves_a_stream_is_billed_for_the_whole_of_it(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(stream_seconds=60, output_tokens=50)
    with client.stream("POST", "/chat/completions", json=body(stream=True)) as reply:
        chunks = reply.iter_raw()
        next(chunks)
        assert judge.stats()["open"] == 1
    stats = judge.settled_stats()
    assert (stats["abandoned"], stats["output_tokens"]) == (1, 50)


def test_reply_that_is_not_read_keeps_the_call_open(judge: ProviderProcess) -> None:
    judge.renew(output_tokens="max")
    with socket.socket() as slow:
        # A small window, so that the reply does not vanish in the kernel's buffers.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(judge.url.rpartition(":")[2])))
        slow.sendall(raw_request("hi", max_tokens=2_000_000))
        slow.recv(1)
        assert judge.stats()["open"] == 1
    assert judge.settled_stats()["open"] == 0


def test_requests_sent_ahead_on_one_connection_are_answered_in_turn(judge: ProviderProcess) -> None:
    judge.renew(script={"first": {"text": "one", "latency_seconds": 0.2}, "second": "two"})
    with socket.create_connection(("127.0.0.1", int(judge.url.rpartition(":")[2]))) as both:
        both.sendall(raw_request("first") + raw_request("second"))
        received = b""
        while received.count(b"total_tokens") < 2:
            received += both.recv(65536)
    assert received.index(b'"one"') < received.index(b'"two"')
    assert judge.settled_stats()["max_open"] == 2


def test_request_in_chunks_is_read_and_nonsense_is_refused(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    content = orjson.dumps(body())
    chunks = (content[at : at + 7] for at in range(0, len(content), 7))
    assert client.post("/chat/completions", content=chunks).status_code == 200
    with socket.create_connection(("127.0.0.1", int(judge.url.rpartition(":")[2]))) as odd:
        odd.sendall(b"what is this\r\n\r\n")
        assert odd.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert odd.recv(65536) == b""
    assert judge.stats()["requests"] == 1


def test_connection_is_kept_unless_the_client_says_close(
    judge: ProviderProcess,
) -> None:
    raw = raw_request("hi").replace(b"host: x", b"host: x\r\nconnection: close")
    with socket.create_connection(("127.0.0.1", int(judge.url.rpartition(":")[2]))) as once:
        once.sendall(raw)
        received = b""
        while more := once.recv(65536):
            received += more
    assert received.startswith(b"HTTP/1.1 200 OK")


def test_latency_range_is_kept(judge: ProviderProcess, client: httpx.Client) -> None:
    judge.renew(latency_seconds=[0.05, 0.15])
    for _ in range(5):
        client.post("/chat/completions", json=body())
    waits = [record["billed_at"] - record["arrival"] for record in judge.log()]
    assert min(waits) >= 0.05
    assert len({round(wait, 3) for wait in waits}) > 1


def test_reset_refuses_while_calls_are_open(judge: ProviderProcess, client: httpx.Client) -> None:
    judge.renew(stream_seconds=60)
    with client.stream("POST", "/chat/completions", json=body(stream=True)) as reply:
        chunks = reply.iter_raw()
        next(chunks)
        with pytest.raises(ProviderError, match="1 calls are open"):
            judge.reset()


def test_log_file_has_every_bill_after_a_kill(make_provider: MakeProvider, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    provider = make_provider(log_path=path, stream_seconds=60)
    with httpx.Client(base_url=provider.api_base, trust_env=False) as client:
        client.post("/chat/completions", json=body("done"))
        with client.stream("POST", "/chat/completions", json=body("cut", stream=True)) as reply:
            chunks = reply.iter_raw()
            next(chunks)
            bill = provider.stats()["billed_nano"]
            os.kill(provider.pid, signal.SIGKILL)
    done, cut = read_log(path)
    assert done["billed_nano"] + cut["billed_nano"] == bill
    assert done["end"] is not None
    assert cut["end"] is None


def test_provider_that_cannot_start_says_so_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(ProviderError, match="exit status 2"):
        ProviderProcess(latency_seconds=-1)
    assert time.monotonic() - started < 20


def test_provider_is_fresh_and_listens_on_loopback(provider: ProviderProcess) -> None:
    assert provider.url.startswith("http://127.0.0.1:")
    assert provider.stats()["requests"] == 0


def _record(arrival: float, end: float | None) -> dict[str, Any]:
    return {"arrival": arrival, "end": end}


def test_utilization_counts_from_the_first_full_cap_to_the_last_arrival() -> None:
    # Cap 2: full at 1; one place idle from 3 to 4; the queue is empty at 5.
    records = [_record(0, 3), _record(1, 5), _record(4, 6), _record(5, None)]
    assert first_full(records, 2) == 1
    assert utilization(records, 2) == pytest.approx((2 + 4 + 1) / (2 * 4))
    assert utilization(records, 3) == 0.0
    assert max_in_flight(records) == 2
