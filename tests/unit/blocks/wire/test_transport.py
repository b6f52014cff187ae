import asyncio
import gc
import gzip
import json
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import NotKept, Scope, kept_only, one_answer, scope
from prefect_governor.blocks.errors import (
    NotBounded,
    NotGoverned,
    NotPriced,
    OverBudget,
    RunStopped,
)
from prefect_governor.blocks.prices.prices import UsageParts, cost, load_price
from prefect_governor.blocks.records.calls import Admission, Demand, Usage
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.fakes import (
    FakeDesk,
    FakeGoverning,
    FakeProvider,
    Pieces,
    chat_events,
    chat_reply,
    chat_request,
    event_stream,
)

URL = "https://api.openai.com/v1/chat/completions"
SECRET = "sk-very-secret"


class Wire:
    """Both transports over the same fakes: each test that posts runs against both."""

    def __init__(self, kind: str, *replies: Any, governing: FakeGoverning | None = None) -> None:
        self.kind = kind
        self.governing = governing or FakeGoverning()
        self.desk: FakeDesk = self.governing.desk
        self.provider = FakeProvider(list(replies))

    async def post(self, body: Any = None, *, url: str = URL, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body or chat_request()).encode()
        headers = {"authorization": f"Bearer {SECRET}", **options.pop("headers", {})}
        if self.kind == "async":
            transport = GovernedAsyncTransport(self.provider, **options)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.post(url, content=content, headers=headers)
        with httpx.Client(transport=GovernedTransport(self.provider, **options)) as blocking:
            return blocking.post(url, content=content, headers=headers)


@pytest.fixture(params=["async", "sync"])
def wire(request: pytest.FixtureRequest) -> Callable[..., Wire]:
    return lambda *replies, **options: Wire(request.param, *replies, **options)


def ok(**more: Any) -> httpx.Response:
    return httpx.Response(200, json=chat_reply(**more))


async def test_spent_is_what_the_provider_billed_and_not_the_bound(
    wire: Callable[..., Wire],
) -> None:
    made = wire(ok(prompt=1001, completion=7))
    here = Scope(made.governing)
    with scope(here):
        reply = await made.post()
    price = load_price("gpt-4o-mini")
    assert price is not None
    nano = cost(price, UsageParts(1001, 7))
    assert made.desk.spent == nano == here.spent.nano
    assert (here.spent.calls, here.spent.input_tokens, here.spent.output_tokens) == (1, 1001, 7)
    assert made.desk.outcomes == ["settle"]
    assert reply.json()["choices"][0]["message"]["content"] == "hello"


async def test_reply_is_not_handed_out_before_its_settle_is_durable() -> None:
    made = Wire("async", ok())
    made.desk.slow = True
    with scope(Scope(made.governing)):
        task = asyncio.create_task(made.post())
        while not made.desk.resolved:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        made.desk.commit()
        assert (await task).status_code == 200


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (httpx.Response(200, json={"choices": []}), "unconfirm"),
        (httpx.Response(200, content=b'{"choices": [{"mess'), "unconfirm"),
        (httpx.Response(200, json=chat_reply(0, 0)), "unconfirm"),
        (httpx.Response(400, json={"error": {}}), "void"),
        (httpx.Response(401, json={"error": {}}), "void"),
        (httpx.Response(408), "unconfirm"),
        (httpx.Response(499), "unconfirm"),
        (httpx.Response(500, json=chat_reply()), "unconfirm"),
        (httpx.Response(503), "unconfirm"),
    ],
)
async def test_reply_without_a_usage_is_charged_unless_provably_not_billed(
    wire: Callable[..., Wire], reply: httpx.Response, outcome: str
) -> None:
    made = wire(reply)
    with scope(Scope(made.governing)):
        got = await made.post()
    assert got.status_code == reply.status_code
    assert made.desk.outcomes == [outcome]
    assert (made.desk.unconfirmed > 0) == (outcome == "unconfirm")
    assert not made.desk.reserved


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("refused"), "void"),
        (httpx.ConnectTimeout("slow"), "void"),
        (httpx.PoolTimeout("full"), "void"),
        (httpx.ReadTimeout("hangs"), "unconfirm"),
        (httpx.WriteError("broken"), "unconfirm"),
        (httpx.RemoteProtocolError("disconnected"), "unconfirm"),
        (RuntimeError("anything"), "unconfirm"),
    ],
)
async def test_broken_transport_stays_charged_once_it_may_have_sent(
    wire: Callable[..., Wire], error: Exception, outcome: str
) -> None:
    made = wire(error)
    with scope(Scope(made.governing)), pytest.raises(type(error)):
        await made.post()
    assert made.desk.outcomes == [outcome]


async def test_body_cut_half_way_stays_charged_and_its_connection_is_closed(
    wire: Callable[..., Wire],
) -> None:
    body = Pieces([b'{"usage', httpx.ReadError("cut")])
    made = wire(httpx.Response(200, headers={"content-type": "application/json"}, stream=body))
    with scope(Scope(made.governing)), pytest.raises(httpx.ReadError):
        await made.post()
    assert made.desk.outcomes == ["unconfirm"]
    assert body.closed


async def test_cancelled_in_the_queue_leaves_it_and_sends_nothing() -> None:
    made = Wire("async", ok(), governing=FakeGoverning(FakeDesk(cap=0)))
    with scope(Scope(made.governing)):
        task = asyncio.create_task(made.post())
        while not made.desk.queue:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert made.desk.outcomes == ["abandoned"]
    assert not made.provider.requests


async def test_cancelled_in_flight_stays_charged_at_its_bound() -> None:
    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    governing = FakeGoverning()
    transport = GovernedAsyncTransport(Hanging())
    async with httpx.AsyncClient(transport=transport) as client:
        with scope(Scope(governing)):
            task = asyncio.create_task(client.post(URL, json=chat_request()))
        while not governing.desk.reserved:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert governing.desk.outcomes == ["unconfirm"]


async def test_429_is_not_charged_holds_everyone_and_goes_again_under_a_new_reservation(
    wire: Callable[..., Wire],
) -> None:
    throttled = httpx.Response(429, headers={"retry-after": "7"}, json={"error": {"code": "x"}})
    made = wire(throttled, throttled, ok())
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 200
    assert made.desk.held == [(("limit",), 7.0)] * 2
    assert made.desk.outcomes == ["void", "void", "settle"]
    assert len(made.provider.requests) == len(made.desk.demands) == 3


async def test_429_holds_what_stands_for_its_model_and_nobody_else(
    wire: Callable[..., Wire],
) -> None:
    governing = FakeGoverning(limit_keys=("tag", "all", "model"), throttled_keys=("model",))
    throttled = httpx.Response(429, headers={"retry-after": "7"})
    made = wire(throttled, ok(), governing=governing)
    with scope(Scope(made.governing)):
        await made.post()
    assert made.desk.held == [(("model",), 7.0)]
    assert {each.limits for each in made.desk.demands.values()} == {("tag", "all", "model")}


async def test_wait_of_every_admission_is_told_apart_from_the_calls_own_time(
    wire: Callable[..., Wire],
) -> None:
    class Queueing(FakeDesk):
        def admit(self, demand: Demand, **options: Any) -> "Future[Admission]":
            super().admit(demand, **options)
            admitted: Future[Admission] = Future()
            admitted.set_result(Admission(demand.call_id, 1.5))
            return admitted

    throttled = httpx.Response(429, headers={"retry-after": "7"})
    made = wire(throttled, ok(), governing=FakeGoverning(desk=Queueing()))
    here = Scope(made.governing)
    with scope(here):
        await made.post()
    assert here.spent.waited_seconds == 3.0
    assert here.spent.calls == 1


async def test_reply_of_a_fallback_is_found_again_without_asking_the_first_model(
    wire: Callable[..., Wire],
) -> None:
    made = wire(httpx.Response(404, json={"error": {}}), ok(text="kept"))

    async def two_models(*, again: bool) -> list[Any]:
        """What each model said, None where none was kept, until one answered."""
        said: list[Any] = []
        with scope(Scope(made.governing, run_id="r", item="i")), one_answer():
            for model in ("gpt-4o", "gpt-4o-mini"):
                try:
                    with kept_only() if again else nullcontext():
                        reply = await made.post(chat_request(model=model))
                except NotKept:
                    said.append(None)
                    continue
                said.append(reply.status_code)
                if reply.is_success:
                    break
        return said

    assert await two_models(again=False) == [404, 200]
    assert await two_models(again=True) == [None, 200]
    assert len(made.provider.requests) == 2
    assert made.desk.outcomes == ["void", "settle"]


async def test_429_without_a_word_is_held_twice_as_long_each_time(
    wire: Callable[..., Wire],
) -> None:
    made = wire(*[httpx.Response(429)] * 4, ok())
    with scope(Scope(made.governing)):
        await made.post()
    assert [seconds for _, seconds in made.desk.held] == [1.0, 2.0, 4.0, 8.0]


async def test_spent_quota_is_told_at_once_instead_of_tried_again(
    wire: Callable[..., Wire],
) -> None:
    made = wire(httpx.Response(429, json={"error": {"code": "insufficient_quota"}}))
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 429
    assert made.desk.outcomes == ["void"]
    assert not made.desk.held


async def test_queue_timeout_counts_all_the_waits_of_a_throttled_call() -> None:
    from prefect_governor.blocks.wire.exchange import exchange
    from prefect_governor.blocks.wire.ports import Terms
    from prefect_governor.blocks.wire.transport import _AsyncIO

    now = [100.0]
    governing = FakeGoverning(queue_timeout_seconds=30.0)
    provider = FakeProvider([httpx.Response(429, headers={"retry-after": "12"}), ok()])

    class Later(FakeDesk):
        def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> Any:
            now[0] += retry_after_seconds
            return super().throttled(limits, retry_after_seconds)

    governing.desk = Later()
    terms = Terms(governing, clock=lambda: now[0])
    await exchange(terms, _AsyncIO(provider), httpx.Request("POST", URL, json=chat_request()))
    assert governing.desk.queue_timeouts == [30.0, 18.0]


async def test_gzipped_reply_is_settled_and_handed_out_readable(wire: Callable[..., Wire]) -> None:
    packed = gzip.compress(json.dumps(chat_reply(12, 3, text="é")).encode())
    made = wire(
        httpx.Response(
            200,
            headers={"content-type": "application/json", "content-encoding": "gzip"},
            stream=Pieces([packed[:20], packed[20:]]),
        )
    )
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.json()["choices"][0]["message"]["content"] == "é"
    assert "content-encoding" not in reply.headers
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert made.desk.outcomes == ["settle"]


async def test_finished_call_of_an_item_is_not_paid_for_again(wire: Callable[..., Wire]) -> None:
    made = wire(ok(text="first"), ok(text="second"))

    def item() -> Scope:
        return Scope(made.governing, run_id="run", item="a.md")

    with scope(item()):
        first = await made.post()
    with scope(item()):
        again = await made.post()
        other = await made.post(chat_request(temperature=1))
    assert again.content == first.content
    assert again.headers["x-prefect-governor"] == "replayed"
    assert again.json()["choices"][0]["message"]["content"] == "first"
    assert other.json()["choices"][0]["message"]["content"] == "second"
    assert len(made.provider.requests) == len(made.desk.resolved) == 2


async def test_changed_request_is_not_answered_with_the_old_reply(
    wire: Callable[..., Wire],
) -> None:
    made = wire(ok(text="first"), ok(text="second"))
    for question in ("one?", "two?"):
        with scope(Scope(made.governing, run_id="run", item="a.md")):
            messages = [{"role": "user", "content": question}]
            reply = await made.post(chat_request(messages=messages))
    assert reply.json()["choices"][0]["message"]["content"] == "second"


async def test_stopped_run_sends_nothing_more(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    stop = threading.Event()
    stop.set()
    with scope(Scope(made.governing, stop=stop)), pytest.raises(RunStopped):
        await made.post()
    assert not made.provider.requests
    assert not made.desk.demands


async def test_stopped_while_queued_gives_its_reservation_back_unsent() -> None:
    made = Wire("async", ok(), governing=FakeGoverning(FakeDesk(cap=0)))
    stop = threading.Event()
    with scope(Scope(made.governing, stop=stop)):
        task = asyncio.create_task(made.post())
        while not made.desk.queue:
            await asyncio.sleep(0)
        stop.set()
        made.desk.cap = 1
        made.desk._decide()
        with pytest.raises(RunStopped):
            await task
    assert made.desk.outcomes == ["void"]
    assert not made.provider.requests


async def test_call_whose_process_stood_still_before_it_was_sent_is_admitted_anew(
    wire: Callable[..., Wire],
) -> None:
    made = wire(ok())
    made.desk.stale = 1
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 200
    assert made.desk.outcomes == ["void", "settle"]
    assert len(made.provider.requests) == 1
    assert "stood still" in next(iter(made.desk.resolved.values()))[1]


async def test_over_budget_sends_nothing(wire: Callable[..., Wire]) -> None:
    made = wire(ok(), governing=FakeGoverning(FakeDesk(ceiling_nano=10)))
    with scope(Scope(made.governing)), pytest.raises(OverBudget):
        await made.post()
    assert not made.provider.requests


async def test_call_outside_any_governor_is_refused_with_the_fix(
    wire: Callable[..., Wire],
) -> None:
    made = wire(ok())
    with pytest.raises(NotGoverned, match="with governor"):
        await made.post()
    assert not made.provider.requests


async def test_governor_of_the_transport_needs_no_context(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    await made.post(governing=made.governing)
    assert made.desk.outcomes == ["settle"]


async def test_path_that_no_dialect_knows_is_refused_by_name(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)), pytest.raises(NotGoverned, match="/v1/images/generations"):
        await made.post(url="https://api.openai.com/v1/images/generations")
    assert not made.provider.requests


async def test_reading_what_costs_nothing_passes() -> None:
    provider = FakeProvider([httpx.Response(200, json={"data": []})])
    async with httpx.AsyncClient(transport=GovernedAsyncTransport(provider)) as client:
        assert (await client.get("https://api.openai.com/v1/models")).json() == {"data": []}


async def test_model_without_a_price_is_refused_by_name(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    with (
        scope(Scope(made.governing)),
        pytest.raises(NotPriced, match=r"'openai/nobody-knows-it'.*Model block"),
    ):
        await made.post(chat_request(model="nobody-knows-it"))
    assert not made.provider.requests


async def test_no_error_message_holds_a_key_or_a_request(wire: Callable[..., Wire]) -> None:
    bodies: list[Any] = [
        chat_request(messages=[{"role": "user", "content": SECRET}], max_tokens=None),
        chat_request(messages=SECRET),
        chat_request(unknown_field=SECRET),
        f'{{"model": "{SECRET}"'.encode(),
        chat_request(messages=[{"role": "user", "content": [{"type": "x", "url": SECRET}]}]),
    ]
    for body in bodies:
        made = wire(ok())
        with scope(Scope(made.governing)), pytest.raises(NotBounded) as caught:
            await made.post(body)
        assert SECRET not in str(caught.value)
        assert not made.provider.requests


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_key_with_a_line_end_is_not_quoted_in_the_error(kind: str) -> None:
    governing = FakeGoverning()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
        headers = {"authorization": f"Bearer {SECRET}\n"}
        request = httpx.Request("POST", url, json=chat_request(), headers=headers)
        with pytest.raises(httpx.LocalProtocolError, match="key") as caught:
            if kind == "async":
                async with GovernedAsyncTransport(httpx.AsyncHTTPTransport(), governing) as made:
                    await made.handle_async_request(request)
            else:
                with GovernedTransport(httpx.HTTPTransport(), governing) as blocking:
                    blocking.handle_request(request)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert governing.desk.outcomes == ["void"]


async def test_compressed_request_cannot_hide_what_it_asks_for(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)), pytest.raises(NotBounded, match="compressed"):
        await made.post(
            gzip.compress(json.dumps(chat_request()).encode()),
            headers={"content-encoding": "gzip"},
        )


async def test_key_that_stands_twice_is_sent_as_it_was_measured(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    body = b'{"model":"gpt-4o-mini","max_tokens":9000,"max_tokens":5,"messages":[]}'
    with scope(Scope(made.governing)):
        await made.post(body)
    sent = made.provider.requests[0]
    assert sent.content.count(b"max_tokens") == 1
    assert made.provider.bodies[0]["max_tokens"] == 5
    assert int(sent.headers["content-length"]) == len(sent.content)
    assert sent.headers["authorization"] == f"Bearer {SECRET}"


async def test_provider_in_the_price_is_told_by_the_host_or_the_transport(
    wire: Callable[..., Wire],
) -> None:
    made = wire(ok())
    await made.post(governing=made.governing)
    await made.post(governing=made.governing, url="http://127.0.0.1:9/v1/chat/completions")
    with pytest.raises(NotPriced):
        await made.post(governing=made.governing, provider="groq")
    assert made.governing.asked == ["openai/gpt-4o-mini", "gpt-4o-mini", "groq/gpt-4o-mini"]


# Streams


async def test_stream_is_settled_before_its_last_bytes_and_shows_what_was_asked_for(
    wire: Callable[..., Wire],
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
        chat_events(done=False),
        chat_events(prompt=None),
        [*chat_events()[:2], httpx.ReadError("cut")],
        [],
    ],
    ids=["no terminator", "no usage", "cut", "empty"],
)
async def test_stream_without_its_end_or_its_usage_stays_charged(
    wire: Callable[..., Wire], pieces: list[bytes | Exception]
) -> None:
    made = wire(event_stream(pieces))
    with scope(Scope(made.governing)):
        try:
            await made.post(chat_request(stream=True))
        except httpx.ReadError:
            assert any(isinstance(piece, Exception) for piece in pieces)
    assert made.desk.outcomes == ["unconfirm"]


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


async def test_gzipped_stream_is_read_and_handed_out_plain(wire: Callable[..., Wire]) -> None:
    packed = gzip.compress(b"".join(chat_events()))
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    made = wire(httpx.Response(200, headers=headers, stream=Pieces([packed[:40], packed[40:]])))
    with scope(Scope(made.governing)):
        reply = await made.post(chat_request(stream=True))
    assert b"hello" in reply.content
    assert made.desk.outcomes == ["settle"]


async def test_streamed_reply_is_replayed_whole(wire: Callable[..., Wire]) -> None:
    made = wire(event_stream(chat_events(text="one two three")), ok())
    contents = []
    for _ in range(2):
        with scope(Scope(made.governing, run_id="run", item="a")):
            contents.append((await made.post(chat_request(stream=True))).content)
    assert contents[0] == contents[1]
    assert b"three" in contents[0]
    assert len(made.provider.requests) == 1


async def test_stream_asked_for_but_answered_whole_is_settled(wire: Callable[..., Wire]) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)):
        await made.post(chat_request(stream=True))
    assert made.desk.outcomes == ["settle"]


async def test_usage_above_the_bound_is_recorded_as_it_is(wire: Callable[..., Wire]) -> None:
    made = wire(ok(prompt=10**6, completion=10**6))
    with scope(Scope(made.governing)):
        await made.post()
    outcome, usage = next(iter(made.desk.resolved.values()))
    bound = next(iter(made.desk.demands.values())).bound
    assert outcome == "settle"
    assert isinstance(usage, Usage) and usage.nano > bound.nano


async def test_waiting_calls_go_as_slots_come_free_and_none_is_lost() -> None:
    made = Wire("async", lambda: ok(), governing=FakeGoverning(FakeDesk(cap=3)))
    transport = GovernedAsyncTransport(made.provider, made.governing)
    async with httpx.AsyncClient(transport=transport) as client:

        def post() -> Awaitable[httpx.Response]:
            return client.post(URL, json=chat_request())

        replies = await asyncio.gather(*(post() for _ in range(40)))
    assert len(replies) == 40
    assert made.desk.outcomes == ["settle"] * 40
