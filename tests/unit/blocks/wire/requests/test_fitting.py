"""Fitting `max_tokens` as money runs low: what is asked for, what is sent, what a cut means."""

import json
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.learned import Learned, edge_of
from prefect_governor.blocks.records.calls import Bound, Demand, Facts, Usage
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.fitting import fitted_bound
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.blocks.wire.transports import MakeWire, ok
from tests.unit.fakes import FakeDesk, FakeGoverning, chat_events, chat_request, event_stream
from tests.unit.prices import priced

MODEL = "openai/gpt-4o-mini"
LENGTH = 97
FITTED = 2 * edge_of(LENGTH)
ASKED = 4000
PRICE = priced(MODEL)


def taught(*lengths: int) -> Learned:
    learned = Learned(MODEL)
    for length in lengths or [LENGTH] * 50:
        learned = learned.observe(Facts(MODEL, None, ASKED), Usage(1, 10, length))
    return learned


def plan_of(**fields: Any) -> CallPlan:
    return planned(OpenAIChat(), chat_request(max_tokens=ASKED, **fields), model=MODEL)


def fitted_output(plan: CallPlan, learned: Learned | None, *, floor: int = 64) -> int | None:
    bound = fitted_bound(plan, PRICE, learned, floor_tokens=floor)
    if bound is not None:
        assert bound.input_tokens == plan.input_tokens
        assert bound.nano < plan.bound(PRICE).nano
    return None if bound is None else bound.output_tokens


def poor(**governing: Any) -> FakeGoverning:
    """A governor whose money is all but held: the whole bound is not to be had, a fitted one is."""
    whole = plan_of().bound(PRICE).nano
    governing.setdefault("taught", taught())
    made = FakeGoverning(desk=FakeDesk(ceiling_nano=2 * whole), **governing)
    held = Demand("held", ("account",), (), Bound(2 * whole - whole // 2, 1, 1))
    made.desk.reserved["held"] = held
    return made


def length(**more: Any) -> httpx.Response:
    reply = ok(completion=FITTED, **more).json()
    reply["choices"][0]["finish_reason"] = "length"
    return httpx.Response(200, json=reply)


def test_nothing_is_fitted_before_enough_was_learned() -> None:
    assert fitted_output(plan_of(), None) is None
    assert fitted_output(plan_of(), taught(*[97] * 19)) is None
    assert fitted_output(plan_of(), taught(*[97] * 20)) == FITTED


def test_fit_is_never_below_the_floor_nor_above_what_was_asked() -> None:
    assert fitted_output(plan_of(), taught(*[3] * 50)) == 64
    assert fitted_output(plan_of(), taught(*[3] * 50), floor=500) == 500
    assert fitted_output(plan_of(), taught(*[3] * 50), floor=ASKED) is None
    assert fitted_output(plan_of(), taught(*[ASKED - 1] * 50)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"best_of": 2},
        {"stream": True},
        {"ignore_eos": True},
        {"thinking": {"type": "enabled", "budget_tokens": "many"}},
        {"min_tokens": "many"},
    ],
)
def test_what_cannot_be_asked_again_or_has_no_one_length_is_not_fitted(
    fields: dict[str, Any],
) -> None:
    assert fitted_output(plan_of(**fields), taught()) is None


@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 2001),
        ({"reasoning": {"max_tokens": 1500}}, 1501),
        ({"min_tokens": 900}, 900),
        ({"thinking": {"type": "enabled", "budget_tokens": ASKED - 1}}, None),
        ({"n": 1, "best_of": 1, "stream": False}, FITTED),
    ],
)
def test_fit_leaves_room_for_what_the_request_needs(
    fields: dict[str, Any], least: int | None
) -> None:
    assert fitted_output(plan_of(**fields), taught()) == least


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_refitted_body_differs_in_its_limit_alone(name: str) -> None:
    chat = OpenAIChat()
    request = chat_request(temperature=0.5, seed=7, max_tokens=None)
    request[name] = ASKED
    plan = chat.plan(chat.open(json.dumps(request).encode()), price=PRICE, encoding=None)
    refit = chat.refit(plan, 128)
    assert json.loads(refit.body) == {**json.loads(plan.body), name: 128}
    assert (refit.output_tokens, refit.output_limit) == (128, 128)
    assert len(refit.body) <= len(plan.body)


def test_both_limits_are_refitted_where_both_are_given() -> None:
    chat = OpenAIChat()
    request = chat_request(max_tokens=100, max_completion_tokens=ASKED)
    plan = chat.plan(chat.open(json.dumps(request).encode()), price=PRICE, encoding=None)
    fields = json.loads(chat.refit(plan, 200).body)
    assert (fields["max_tokens"], fields["max_completion_tokens"]) == (100, 200)


async def test_whole_bound_is_taken_while_the_money_is_there(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(taught=taught()))
    with scope(Scope(made.governing)):
        await made.post(chat_request(max_tokens=ASKED))
    assert made.provider.bodies[0]["max_tokens"] == ASKED
    (demand,) = made.desk.demands.values()
    assert demand.fitted is not None
    assert demand.fitted.output_tokens == FITTED


async def test_what_was_admitted_as_fitted_is_sent_with_the_smaller_limit(wire: MakeWire) -> None:
    made = wire(ok(), governing=poor())
    with scope(Scope(made.governing)):
        reply = await made.post(chat_request(max_tokens=ASKED))
    assert reply.status_code == 200
    assert [body["max_tokens"] for body in made.provider.bodies] == [FITTED]
    (facts,) = made.desk.facts
    assert facts is not None
    assert (facts.model, facts.output_limit, facts.cut) == (MODEL, FITTED, False)
    assert facts.local_input_tokens is not None


async def test_answer_cut_by_the_fit_is_paid_for_and_asked_again_in_full(wire: MakeWire) -> None:
    governing = poor()

    def cut() -> httpx.Response:
        # Whoever held the money gives it back meanwhile.
        governing.desk.reserved.pop("held", None)
        return length()

    made = wire(cut, ok(text="the whole"), governing=governing)
    here = Scope(governing, run_id="run", item="item")
    with scope(here):
        reply = await made.post(chat_request(max_tokens=ASKED))
        again = await made.post(chat_request(max_tokens=ASKED))
    assert reply.json()["choices"][0]["message"]["content"] == "the whole"
    assert [body["max_tokens"] for body in made.provider.bodies] == [FITTED, ASKED, ASKED]
    assert again.status_code == 200
    first, second, _ = made.desk.demands.values()
    assert first.fitted is not None
    assert second.fitted is None
    assert made.desk.outcomes == ["settle"] * 3
    assert here.spent.calls == 3
    # The answer that was cut has no place among those that are replayed.
    assert [key.call_index for key in made.desk.replies] == [0, 1]
    assert b"the whole" in next(iter(made.desk.replies.values())).body
    assert [facts.cut for facts in made.desk.facts if facts] == [True, False, False]


async def test_answer_cut_by_the_fit_without_money_for_the_whole_fails_saying_so(
    wire: MakeWire,
) -> None:
    governing = poor()
    whole = plan_of().bound(PRICE).nano

    def cut() -> httpx.Response:
        del governing.desk.reserved["held"]
        governing.desk.spent = governing.desk.ceiling_nano - whole // 2
        return length()

    made = wire(cut, ok(), governing=governing)
    with scope(Scope(governing)), pytest.raises(OverBudget) as refused:
        await made.post(chat_request(max_tokens=ASKED))
    assert f"cut at {FITTED:,} output tokens" in str(refused.value)
    assert f"{ASKED:,}" in str(refused.value)
    assert len(made.provider.requests) == 1
    assert made.desk.outcomes == ["settle"]


async def test_answer_cut_by_the_callers_own_limit_is_handed_out(wire: MakeWire) -> None:
    made = wire(length(), governing=FakeGoverning(taught=taught()))
    with scope(Scope(made.governing)):
        reply = await made.post(chat_request(max_tokens=FITTED))
    assert reply.json()["choices"][0]["finish_reason"] == "length"
    assert len(made.provider.requests) == 1
    (facts,) = made.desk.facts
    assert facts is not None
    assert facts.cut


@pytest.mark.parametrize("off", ["runtime", "scope", "observe", "stream"])
async def test_call_that_may_not_be_fitted_asks_for_no_less(wire: MakeWire, off: str) -> None:
    governing = FakeGoverning(taught=taught(), fit=off != "runtime", observe=off == "observe")
    streamed = off == "stream"
    made = wire(event_stream(chat_events()) if streamed else ok(), governing=governing)
    with scope(Scope(governing, fit=off != "scope")):
        await made.post(chat_request(max_tokens=ASKED, stream=streamed))
    (demand,) = made.desk.demands.values()
    assert demand.fitted is None
    assert demand.observe == (off == "observe")


@pytest.mark.parametrize("reason", ["length", "stop"])
async def test_streams_teach_their_length_and_whether_they_were_cut(
    wire: MakeWire, reason: str
) -> None:
    events = [
        each.replace(b'"finish_reason": "stop"', f'"finish_reason": "{reason}"'.encode())
        for each in chat_events()
    ]
    made = wire(event_stream(events))
    with scope(Scope(made.governing)):
        await made.post(chat_request(max_tokens=ASKED, stream=True))
    (facts,) = made.desk.facts
    assert facts is not None
    assert (facts.output_limit, facts.cut) == (ASKED, reason == "length")


async def test_several_answers_teach_no_length(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)):
        await made.post(chat_request(n=3))
    (facts,) = made.desk.facts
    assert facts is not None
    assert facts.output_limit is None


async def test_answer_as_long_as_its_limit_counts_as_cut_whatever_it_says(wire: MakeWire) -> None:
    made = wire(ok(completion=20))
    with scope(Scope(made.governing)):
        await made.post(chat_request(max_tokens=20))
    (facts,) = made.desk.facts
    assert facts is not None
    assert facts.cut


async def test_every_try_bears_its_own_id_and_the_ledger_knows_it(wire: MakeWire) -> None:
    made = wire(httpx.Response(429, headers={"retry-after": "0"}), ok())
    with scope(Scope(made.governing)):
        await made.post()
    sent = [request.headers["x-client-request-id"] for request in made.provider.requests]
    assert len(set(sent)) == 2
    assert sent == [each.request_id for each in made.desk.demands.values()]
    assert sent == list(made.desk.demands)


async def test_id_that_the_caller_gave_is_sent_and_kept(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)):
        await made.post(headers={"X-Client-Request-Id": "mine"})
    assert made.provider.requests[0].headers.get_list("x-client-request-id") == ["mine"]
    assert [each.request_id for each in made.desk.demands.values()] == ["mine"]


async def test_allocation_of_the_scope_is_drawn_on_first(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(pause_seconds=90.0))
    with scope(Scope(made.governing, allocation="allocation/synthesis")):
        await made.post()
    (demand,) = made.desk.demands.values()
    assert demand.accounts == ("allocation/synthesis", "account")
    assert made.desk.pauses == [90.0]
