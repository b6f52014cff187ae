"""Streams of clients that are not the governor's: settled at their end, and no later."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from prefect_governor import Governor
from tests.certificates import self_signed
from tests.integration.bypass.senders import BODY, CLAUDE, HEADERS, OUTPUT, bedrock, url
from tests.integration.bypass.server import serving
from tests.integration.bypass.test_bypass import governor
from tests.integration.models.bill import assert_spent_is_the_bill, figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

STREAMED = {**BODY, "stream": True}
Reads = Callable[[ProviderProcess, int], list[Any]]
"""Reads the first so many parts of a stream, and leaves it."""


def httpx_(provider: ProviderProcess, most: int) -> list[Any]:
    with (
        httpx.Client(headers=HEADERS) as client,
        client.stream("POST", url(provider), json=STREAMED) as reply,
    ):
        return [line for line, _ in zip(reply.iter_lines(), range(most), strict=False)]


def httpx2_(provider: ProviderProcess, most: int) -> list[Any]:
    with (
        httpx2.Client(headers=HEADERS) as client,
        client.stream("POST", url(provider), json=STREAMED) as reply,
    ):
        return [line for line, _ in zip(reply.iter_lines(), range(most), strict=False)]


def requests_(provider: ProviderProcess, most: int) -> list[Any]:
    with requests.post(
        url(provider), json=STREAMED, headers=HEADERS, stream=True, timeout=30
    ) as reply:
        return [line for line, _ in zip(reply.iter_lines(), range(most), strict=False)]


def urllib3_(provider: ProviderProcess, most: int) -> list[Any]:
    with urllib3.PoolManager() as pool:
        reply = pool.request(
            "POST", url(provider), json=STREAMED, headers=HEADERS, preload_content=False
        )
        try:
            return [line for line, _ in zip(reply, range(most), strict=False)]
        finally:
            reply.close()


def boto3_(provider: ProviderProcess, most: int) -> list[Any]:
    reply = bedrock(provider).converse_stream(
        modelId=CLAUDE,
        messages=[{"role": "user", "content": [{"text": "hello"}]}],
        inferenceConfig={"maxTokens": OUTPUT},
    )
    try:
        return [event for event, _ in zip(reply["stream"], range(most), strict=False)]
    finally:
        reply["stream"].close()


def httpx_async(provider: ProviderProcess, most: int) -> list[Any]:
    async def read() -> list[Any]:
        found: list[Any] = []
        async with (
            httpx.AsyncClient(headers=HEADERS) as client,
            client.stream("POST", url(provider), json=STREAMED) as reply,
        ):
            async for line in reply.aiter_lines():
                if len(found) == most:
                    break
                found.append(line)
        return found

    return asyncio.run(read())


def aiohttp_(provider: ProviderProcess, most: int) -> list[Any]:
    async def read() -> list[Any]:
        found: list[Any] = []
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.post(url(provider), json=STREAMED) as reply,
        ):
            async for line in reply.content:
                if len(found) == most:
                    break
                found.append(line)
        # What was left is closed by a task of its own.
        await asyncio.sleep(0)
        return found

    return asyncio.run(read())


READS: dict[str, Reads] = {
    "aiohttp": aiohttp_,
    "boto3": boto3_,
    "httpx": httpx_,
    "httpx, async": httpx_async,
    "httpx2": httpx2_,
    "requests": requests_,
    "urllib3": urllib3_,
}


@pytest.mark.parametrize("library", sorted(READS))
def test_a_stream_is_settled_at_its_end(provider: ProviderProcess, library: str) -> None:
    team = governor(10**9)
    with team:
        assert len(READS[library](provider, 10_000)) > 3
    assert_spent_is_the_bill(team, provider)


@pytest.mark.parametrize("library", sorted(READS))
def test_a_stream_that_is_left_is_unconfirmed(provider: ProviderProcess, library: str) -> None:
    provider.configure(stream_seconds=20.0, stream_chunk_tokens=5)
    team = governor(10**9)
    with team:
        assert len(READS[library](provider, 2)) == 2
    stats = provider.settled_stats(timeout_seconds=30)
    resolved(team)
    state = figures(team)
    assert (state.spent_nano, state.reserved_nano) == (0, 0)
    assert state.unconfirmed_nano >= stats["billed_nano"] > 0


@pytest.mark.parametrize("library", ["aiohttp", "httpx"])
def test_a_cancelled_task_leaves_no_reservation(provider: ProviderProcess, library: str) -> None:
    provider.configure(latency_seconds=20.0)

    async def post() -> None:
        if library == "aiohttp":
            async with aiohttp.ClientSession(headers=HEADERS) as session:
                await session.post(url(provider), json=BODY)
        else:
            async with httpx.AsyncClient(headers=HEADERS) as client:
                await client.post(url(provider), json=BODY)

    async def cancelled() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(post(), 1.0)

    team = governor(10**9)
    with team:
        asyncio.run(cancelled())
    resolved(team)
    assert figures(team).reserved_nano == 0


def test_the_callers_timeout_holds(provider: ProviderProcess) -> None:
    provider.configure(latency_seconds=20.0)
    team = governor(10**9)
    with team, pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(url(provider), json=BODY, headers=HEADERS, timeout=0.5)
    resolved(team)
    assert figures(team).unconfirmed_nano > 0


def test_what_never_left_is_not_charged() -> None:
    """Nobody listens there: the library says so in its own words, and nothing was spent."""
    team = governor(10**9)
    nowhere = "http://127.0.0.1:9/v1/chat/completions"
    closed = urllib3.HTTPConnectionPool("127.0.0.1", 9)
    closed.close()
    with team:
        with pytest.raises(requests.exceptions.ProxyError):
            requests.post(nowhere.replace("127.0.0.1:9", "gateway.test"), json=BODY, timeout=5,
                          proxies={"http": "http://127.0.0.1:9"})  # fmt: skip
        with pytest.raises(urllib3.exceptions.ClosedPoolError):
            closed.request("POST", "/v1/chat/completions", json=BODY)
        with urllib3.PoolManager() as pool, pytest.raises(ValueError, match="header"):
            pool.request("POST", nowhere, json=BODY, headers={"authorization": "Bearer k\n"})
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.post(nowhere, json=BODY, headers=HEADERS, timeout=5)
        with pytest.raises(aiohttp.ClientConnectorError):
            asyncio.run(_asked(nowhere))
    resolved(team)
    state = figures(team)
    assert (state.spent_nano, state.unconfirmed_nano, state.reserved_nano) == (0, 0, 0)


def test_who_is_not_whom_the_call_is_for_is_told_nothing_and_nothing_is_charged(
    tmp_path: Path,
) -> None:
    team = governor(10**9)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed("127.0.0.1", tmp_path / "both.pem"))
    with serving(tls=context) as other:
        with team, pytest.raises(requests.exceptions.SSLError):
            requests.post(f"{other.url}/v1/chat/completions", json=BODY, headers=HEADERS)
        assert other.seen == []
    resolved(team)
    state = figures(team)
    assert (state.spent_nano, state.unconfirmed_nano, state.reserved_nano) == (0, 0, 0)


async def _asked(where: str) -> None:
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        await session.post(where, json=BODY)


def resolved(team: Governor) -> None:
    until(lambda: figures(team).reserved_nano == 0)
