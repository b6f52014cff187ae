"""A 429 is not charged: whoever it concerns is held, and the call goes again by itself."""

from concurrent.futures import Future
from typing import Any

import httpx

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.records.calls import Admission, Demand
from prefect_governor.blocks.wire.exchange import exchange
from prefect_governor.blocks.wire.ports import Terms
from prefect_governor.blocks.wire.transport import _AsyncIO
from tests.unit.blocks.wire.transports import URL, MakeWire, ok
from tests.unit.clocks import Seconds
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider, chat_request


async def test_429_is_not_charged_holds_everyone_and_goes_again_under_a_new_reservation(
    wire: MakeWire,
) -> None:
    throttled = httpx.Response(429, headers={"retry-after": "7"}, json={"error": {"code": "x"}})
    made = wire(throttled, throttled, ok())
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 200
    assert made.desk.held == [(("limit",), 7.0)] * 2
    assert made.desk.outcomes == ["void", "void", "settle"]
    assert len(made.provider.requests) == len(made.desk.demands) == 3


async def test_429_holds_what_stands_for_its_model_and_nobody_else(wire: MakeWire) -> None:
    governing = FakeGoverning(limit_keys=("tag", "all", "model"), throttled_keys=("model",))
    throttled = httpx.Response(429, headers={"retry-after": "7"})
    made = wire(throttled, ok(), governing=governing)
    with scope(Scope(made.governing)):
        await made.post()
    assert made.desk.held == [(("model",), 7.0)]
    assert {each.limits for each in made.desk.demands.values()} == {("tag", "all", "model")}


async def test_429_without_a_word_is_held_twice_as_long_each_time(wire: MakeWire) -> None:
    made = wire(*[httpx.Response(429)] * 4, ok())
    with scope(Scope(made.governing)):
        await made.post()
    assert [seconds for _, seconds in made.desk.held] == [1.0, 2.0, 4.0, 8.0]


async def test_spent_quota_is_told_at_once_instead_of_tried_again(wire: MakeWire) -> None:
    made = wire(httpx.Response(429, json={"error": {"code": "insufficient_quota"}}))
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert reply.status_code == 429
    assert made.desk.outcomes == ["void"]
    assert not made.desk.held


async def test_wait_of_every_admission_is_told_apart_from_the_calls_own_time(
    wire: MakeWire,
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


async def test_queue_timeout_counts_all_the_waits_of_a_throttled_call() -> None:
    clock = Seconds()
    governing = FakeGoverning(queue_timeout_seconds=30.0)
    provider = FakeProvider([httpx.Response(429, headers={"retry-after": "12"}), ok()])

    class Later(FakeDesk):
        def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> Any:
            clock.now += retry_after_seconds
            return super().throttled(limits, retry_after_seconds)

    governing.desk = Later()
    terms = Terms(governing, clock=clock)
    await exchange(terms, _AsyncIO(provider), httpx.Request("POST", URL, json=chat_request()))
    assert governing.desk.queue_timeouts == [30.0, 18.0]
