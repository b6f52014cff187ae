"""A stream is settled before its end is shown, and stays charged where its end is not seen."""

import asyncio
import gc
import gzip
import time

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.blocks.wire.transports import URL, MakeWire, Wire, ok
from tests.unit.fakes import Pieces, chat_events, chat_request, event_stream


async def test_stream_is_settled_before_its_last_bytes_and_shows_what_was_asked_for(
    wire: MakeWire,
) -> None:
    made = wire(event_stream(chat_events(1001, 7)))
    with scope(Scope(made.governing)):
        reply = await made.post(chat_request(stream=True))
    assert made.provider.bodies[0]["stream_options"] == {"include_usage": True}
    assert made.desk.outcomes == ["settle"]
    assert b"prompt_tokens" not in reply.content
    assert reply.content.endswith(b"data: [DONE]\n\n")


async def test_caller_who_reads_the_terminator_finds_it_settled() -> None:
    made = Wire("async", event_stream(chat_events()))
    made.desk.slow = True
    transport = GovernedAsyncTransport(made.provider, made.governing)
    seen: list[bytes] = []
    async with httpx.AsyncClient(transport=transport) as client:

        async def read() -> None:
            async with client.stream("POST", URL, json=chat_request(stream=True)) as reply:
                async for chunk in reply.aiter_bytes():
                    seen.append(chunk)

        task = asyncio.create_task(read())
        while not made.desk.resolved:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert seen
        assert not any(b"[DONE]" in chunk for chunk in seen)
        made.desk.commit()
        await task
    assert b"[DONE]" in seen[-1]
    assert made.desk.outcomes == ["settle"]


@pytest.mark.parametrize(
    "pieces",
    [
        [*chat_events()[:2], chat_events()[-2]],
        chat_events(prompt=None),
        chat_events(prompt=None, done=False),
        [*chat_events(done=False), httpx.ReadError("cut")],
        [*chat_events()[:2], httpx.ReadError("cut")],
        [],
    ],
    ids=["no reason", "no usage", "neither usage nor end", "cut at its end", "cut", "empty"],
)
async def test_stream_without_its_end_or_its_usage_stays_charged(
    wire: MakeWire, pieces: list[bytes | Exception]
) -> None:
    made = wire(event_stream(pieces))
    with scope(Scope(made.governing)):
        try:
            await made.post(chat_request(stream=True))
        except httpx.ReadError:
            assert any(isinstance(piece, Exception) for piece in pieces)
    assert made.desk.outcomes == ["unconfirm"]


async def test_stream_that_ends_in_order_is_whole_without_a_terminator(wire: MakeWire) -> None:
    made = wire(event_stream(chat_events(done=False)))
    with scope(Scope(made.governing)):
        await made.post(chat_request(stream=True))
    assert made.desk.outcomes == ["settle"]


async def test_stream_closed_early_stays_charged_and_closes_its_connection() -> None:
    body = Pieces(chat_events())
    reply = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)
    made = Wire("async", reply)
    transport = GovernedAsyncTransport(made.provider, made.governing)
    async with httpx.AsyncClient(transport=transport) as client:
        async with client.stream("POST", URL, json=chat_request(stream=True)) as streamed:
            async for _ in streamed.aiter_bytes():
                break
        assert made.desk.outcomes == ["unconfirm"]
    assert body.closed


def test_stream_closed_early_by_synchronous_code_stays_charged() -> None:
    body = Pieces(chat_events())
    reply = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)
    made = Wire("sync", reply)
    with httpx.Client(transport=GovernedTransport(made.provider, made.governing)) as client:
        with client.stream("POST", URL, json=chat_request(stream=True)) as streamed:
            next(streamed.iter_bytes())
        assert made.desk.outcomes == ["unconfirm"]
    assert body.closed


def test_stream_that_nobody_reads_or_closes_frees_its_slot() -> None:
    made = Wire("sync", event_stream(chat_events()))
    transport = GovernedTransport(made.provider, made.governing)
    request = httpx.Request("POST", URL, json=chat_request(stream=True))
    reply: httpx.Response | None = transport.handle_request(request)
    assert reply is not None and made.desk.reserved
    reply = None
    gc.collect()
    deadline = time.monotonic() + 10
    while not made.desk.resolved and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made.desk.outcomes == ["unconfirm"]


async def test_gzipped_stream_is_read_and_handed_out_plain(wire: MakeWire) -> None:
    packed = gzip.compress(b"".join(chat_events()))
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    made = wire(httpx.Response(200, headers=headers, stream=Pieces([packed[:40], packed[40:]])))
    with scope(Scope(made.governing)):
        reply = await made.post(chat_request(stream=True))
    assert b"hello" in reply.content
    assert made.desk.outcomes == ["settle"]


async def test_streamed_reply_is_replayed_whole(wire: MakeWire) -> None:
    made = wire(event_stream(chat_events(text="one two three")), ok())
    contents = []
    for _ in range(2):
        with scope(Scope(made.governing, run_id="run", item="a")):
            contents.append((await made.post(chat_request(stream=True))).content)
    assert contents[0] == contents[1]
    assert b"three" in contents[0]
    assert len(made.provider.requests) == 1


async def test_stream_asked_for_but_answered_whole_is_settled(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)):
        await made.post(chat_request(stream=True))
    assert made.desk.outcomes == ["settle"]
