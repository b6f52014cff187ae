"""Money that is not lost is not held: who leaves before a byte of his call was sent, or after the
last word of its answer, leaves nothing unconfirmed."""

import asyncio
import random
import socket
import threading
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from prefect_governor import Governor
from prefect_governor.blocks.records.budgets import AccountState
from tests.integration.models.bill import calls, figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

CALLS = 200
MODEL = "gpt-4o-mini"
HELLO: Any = [{"role": "user", "content": "hello"}]

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


def body(number: int, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"call {number}"}]
    return {"model": MODEL, "messages": messages, "max_tokens": 10, **more}


async def storm(governor: Governor, api_base: str, seed: int) -> Counter[str]:
    """Calls that are cancelled, or run out of time, at random instants; how each ended."""
    draw = random.Random(seed)

    async def one(client: httpx.AsyncClient, number: int) -> str:
        name = f"call-{number}"
        sent = client.post(
            f"{api_base}/chat/completions",
            json=body(number),
            headers={"authorization": "Bearer sk-test", "x-client-request-id": name},
        )
        try:
            return str((await asyncio.wait_for(sent, draw.uniform(0, 1.2))).status_code)
        except asyncio.TimeoutError:
            return "cancelled"

    async with governor.async_http_client() as client:
        client.timeout = httpx.Timeout(30)
        # What the first call of a process imports and reads is no part of the storm.
        warm = {"authorization": "Bearer sk-test", "x-client-request-id": "warm"}
        await client.post(f"{api_base}/chat/completions", json=body(0), headers=warm)
        return Counter(await asyncio.gather(*(one(client, number) for number in range(CALLS))))


def nothing_is_reserved(governor: Governor) -> AccountState:
    """Whoever is cancelled does not wait for the ledger, which has his call in hand."""
    until(lambda: not figures(governor).reserved_nano)
    return figures(governor)


@pytest.mark.parametrize("seed", [1, 2])
def test_call_cancelled_before_its_bytes_left_is_void_and_nothing_stays_reserved(
    seed: int, upstream: ProviderProcess
) -> None:
    upstream.configure(latency_seconds=0.1)
    governor = Governor.local(f"storm-{seed}", max_usd=5)
    ended = asyncio.run(storm(governor, upstream.api_base, seed))
    stats = upstream.settled_stats()
    state = nothing_is_reserved(governor)
    arrived = {each["request_id"] for each in upstream.log()}
    by_state: dict[str, set[str]] = {"spent": set(), "released": set(), "unconfirmed": set()}
    for each in calls(governor):
        assert each.request_id is not None and each.state != "reserved"
        by_state[each.state].add(each.request_id)
    released, unconfirmed = by_state["released"], by_state["unconfirmed"]
    # What the provider saw may be billed, and is never given back.
    assert not released & arrived
    # One whose first bytes were on their way as it was cancelled may be lost with its connection.
    lost = unconfirmed - arrived
    print(
        f"of {CALLS}, {ended['cancelled']} cancelled: {len(arrived)} arrived, {len(released)} void,"
        f" {len(unconfirmed)} unconfirmed, {len(lost)} of which never arrived"
    )
    assert len(lost) <= 0.01 * CALLS
    assert ended["cancelled"] > 20 and len(released) > 5 and by_state["spent"]
    assert state.spent_nano + state.unconfirmed_nano >= stats["billed_nano"]


async def test_call_cancelled_while_it_connects_is_void(upstream: ProviderProcess) -> None:
    governor = Governor.local("connecting", max_usd=5)
    # A listener that is full takes no more connections, and answers none.
    with await asyncio.to_thread(full_listener) as full:
        async with governor.async_http_client() as client:
            sent = client.post(f"http://127.0.0.1:{full.port}/v1/chat/completions", json=body(1))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sent, 0.3)
        await asyncio.to_thread(nothing_is_reserved, governor)
    assert [each.state for each in calls(governor)] == ["released"]


class full_listener:
    """A port whose queue of connections is full."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._listening.getsockname()[1]
        self._held = []
        for _ in range(8):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", self.port))
            self._held.append(each)

    def __enter__(self) -> "full_listener":
        return self

    def __exit__(self, *_: object) -> None:
        for each in [*self._held, self._listening]:
            each.close()


# Who leaves a stream


def leave_at_the_last_word(client: openai.OpenAI) -> str:
    said = ""
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=30, stream=True)
    for chunk in stream:
        said += chunk.choices[0].delta.content or ""
        if chunk.choices[0].finish_reason:
            break
    stream.close()
    return said


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_stream_that_is_left_at_its_last_word_is_settled_by_what_was_billed(
    kind: str, upstream: ProviderProcess
) -> None:
    governor = Governor.local(f"leaving-{kind}", max_usd=5)
    # The usage comes after the word that ends the answer, in a piece of its own.
    upstream.configure(stream_seconds=0.2, stream_chunk_tokens=8)

    async def asynchronous() -> None:
        http = governor.async_http_client()
        async with openai.AsyncOpenAI(
            base_url=upstream.api_base, http_client=http, max_retries=0
        ) as client:
            stream = await client.chat.completions.create(
                model=MODEL, messages=HELLO, max_tokens=30, stream=True
            )
            async for chunk in stream:
                if chunk.choices[0].finish_reason:
                    break
            await stream.close()

    if kind == "async":
        asyncio.run(asynchronous())
    else:
        http = governor.http_client()
        with openai.OpenAI(base_url=upstream.api_base, http_client=http, max_retries=0) as client:
            assert leave_at_the_last_word(client)
    stats = upstream.settled_stats()
    state = figures(governor)
    assert (state.spent_nano, state.unconfirmed_nano, state.reserved_nano) == (
        stats["billed_nano"],
        0,
        0,
    )
    assert stats["billed_nano"] > 0
    # One that was called off ends in its own thread.
    until(lambda: not [each for each in threading.enumerate() if isinstance(each, threading.Timer)])
