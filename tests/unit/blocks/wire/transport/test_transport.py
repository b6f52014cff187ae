"""A call through either transport: admitted, sent, settled by its bill, and not paid for again."""

import asyncio
import gzip
import json
import socket
import threading
import traceback
from collections.abc import Awaitable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import NotKept, Scope, kept_only, one_answer, scope
from prefect_governor.blocks.errors import OverBudget, RunStopped
from prefect_governor.blocks.machine.stops import Stop, under
from prefect_governor.blocks.prices.prices import UsageParts, cost
from prefect_governor.blocks.wire.exchange import MOST_COUNTED_HERE
from prefect_governor.blocks.wire.planning import planned
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.blocks.wire.transports import POOLS, SECRET, URL, MakeWire, Wire, ok
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider, Pieces, chat_reply, chat_request
from tests.unit.prices import priced


async def test_spent_is_what_the_provider_billed_and_not_the_bound(wire: MakeWire) -> None:
    made = wire(ok(prompt=1001, completion=7))
    here = Scope(made.governing)
    with scope(here):
        reply = await made.post()
    nano = cost(priced("gpt-4o-mini"), UsageParts(1001, 7))
    assert made.desk.spent == nano == here.spent.nano
    assert (here.spent.calls, here.spent.input_tokens, here.spent.output_tokens) == (1, 1001, 7)
    assert made.desk.outcomes == ["settle"]
    assert reply.json()["choices"][0]["message"]["content"] == "hello"


async def test_reply_of_a_fallback_is_found_again_without_asking_the_first_model(
    wire: MakeWire,
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


async def test_gzipped_reply_is_settled_and_handed_out_readable(wire: MakeWire) -> None:
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


async def test_finished_call_of_an_item_is_not_paid_for_again(wire: MakeWire) -> None:
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


async def test_changed_request_is_not_answered_with_the_old_reply(wire: MakeWire) -> None:
    made = wire(ok(text="first"), ok(text="second"))
    for question in ("one?", "two?"):
        with scope(Scope(made.governing, run_id="run", item="a.md")):
            messages = [{"role": "user", "content": question}]
            reply = await made.post(chat_request(messages=messages))
    assert reply.json()["choices"][0]["message"]["content"] == "second"


async def test_stopped_run_sends_nothing_more(wire: MakeWire) -> None:
    made = wire(ok())
    stop = Stop()
    stop.set()
    with scope(Scope(made.governing)), under(stop), pytest.raises(RunStopped):
        await made.post()
    assert not made.provider.requests
    assert not made.desk.demands


async def test_over_budget_sends_nothing(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(FakeDesk(ceiling_nano=10)))
    with scope(Scope(made.governing)), pytest.raises(OverBudget):
        await made.post()
    assert not made.provider.requests


async def test_governor_of_the_transport_needs_no_context(wire: MakeWire) -> None:
    made = wire(ok())
    await made.post(governing=made.governing)
    assert made.desk.outcomes == ["settle"]


async def test_reading_what_costs_nothing_passes() -> None:
    provider = FakeProvider([httpx.Response(200, json={"data": []})])
    async with httpx.AsyncClient(transport=GovernedAsyncTransport(provider)) as client:
        assert (await client.get("https://api.openai.com/v1/models")).json() == {"data": []}


@pytest.mark.parametrize("kind", ["aiohttp", "httpcore", "sync"])
async def test_key_with_a_line_end_is_not_quoted_in_the_error(kind: str) -> None:
    governing = FakeGoverning()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"
        headers = {"authorization": f"Bearer {SECRET}\n"}
        request = httpx.Request("POST", url, json=chat_request(), headers=headers)
        with pytest.raises(httpx.LocalProtocolError, match="key") as caught:
            if kind in POOLS:
                async with GovernedAsyncTransport(POOLS[kind](), governing) as made:
                    await made.handle_async_request(request)
            else:
                with GovernedTransport(httpx.HTTPTransport(), governing) as blocking:
                    blocking.handle_request(request)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert governing.desk.outcomes == ["void"]


async def test_waiting_calls_go_as_slots_come_free_and_none_is_lost() -> None:
    made = Wire("async", lambda: ok(), governing=FakeGoverning(FakeDesk(cap=3)))
    transport = GovernedAsyncTransport(made.provider, made.governing)
    async with httpx.AsyncClient(transport=transport) as client:

        def post() -> Awaitable[httpx.Response]:
            return client.post(URL, json=chat_request())

        replies = await asyncio.gather(*(post() for _ in range(40)))
    assert len(replies) == 40
    assert made.desk.outcomes == ["settle"] * 40


@pytest.mark.parametrize(("size", "aside"), [(200, False), (2 * MOST_COUNTED_HERE, True)])
async def test_a_large_request_is_counted_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch, size: int, aside: bool
) -> None:
    went_on = threading.Event()
    seen: list[bool] = []

    def slowly(*args: Any, **options: Any) -> Any:
        # Held by the loop itself, nothing would set it.
        seen.append(went_on.wait(20 if aside else 0))
        return planned(*args, **options)

    monkeypatch.setattr("prefect_governor.blocks.wire.exchange.planned", slowly)
    made = Wire("async", ok())
    words = [{"role": "user", "content": "word " * (size // 5)}]
    here = Scope(made.governing, run_id="r", item="i")
    with scope(here):
        posted = asyncio.ensure_future(made.post(chat_request(messages=words)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, went_on.set)
        reply = await posted
    assert seen == [aside]
    assert reply.is_success and made.desk.outcomes == ["settle"]
    # It is the item's, wherever it was counted.
    assert here.spent.calls == 1
