"""An admitted call is resolved once, whatever becomes of it: what may be billed is charged."""

import asyncio

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import RunStopped
from prefect_governor.blocks.machine.stops import Stop, under
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.unit.blocks.wire.transports import URL, MakeWire, Wire, ok
from tests.unit.fakes import FakeDesk, FakeGoverning, Pieces, chat_reply, chat_request


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
    wire: MakeWire, reply: httpx.Response, outcome: str
) -> None:
    made = wire(reply)
    with scope(Scope(made.governing)):
        got = await made.post()
    assert got.status_code == reply.status_code
    assert made.desk.outcomes == [outcome]
    assert (made.desk.unconfirmed > 0) == (outcome == "unconfirm")
    assert not made.desk.reserved


async def test_usage_above_the_bound_is_recorded_as_it_is(wire: MakeWire) -> None:
    made = wire(ok(prompt=10**6, completion=10**6))
    with scope(Scope(made.governing)):
        await made.post()
    outcome, usage = next(iter(made.desk.resolved.values()))
    bound = next(iter(made.desk.demands.values())).bound
    assert outcome == "settle"
    assert isinstance(usage, Usage) and usage.nano > bound.nano


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
    wire: MakeWire, error: Exception, outcome: str
) -> None:
    made = wire(error)
    with scope(Scope(made.governing)), pytest.raises(type(error)):
        await made.post()
    assert made.desk.outcomes == [outcome]


async def test_body_cut_half_way_stays_charged_and_its_connection_is_closed(wire: MakeWire) -> None:
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


async def test_stopped_while_queued_gives_its_reservation_back_unsent() -> None:
    made = Wire("async", ok(), governing=FakeGoverning(FakeDesk(cap=0)))
    stop = Stop()
    with scope(Scope(made.governing)), under(stop):
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
    wire: MakeWire,
) -> None:
    made = wire(ok())
    made.desk.stale = 1
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 200
    assert made.desk.outcomes == ["void", "settle"]
    assert len(made.provider.requests) == 1
    assert "stood still" in next(iter(made.desk.resolved.values()))[1]
