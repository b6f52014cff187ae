"""A request without a limit to its output has the model's own, and less of it as money runs low."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import NotBounded, OverBudget
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import CallPlan, Dialect
from tests.unit.blocks.wire.transports import MakeWire, ok
from tests.unit.fakes import FakeDesk, FakeGoverning, chat_events, chat_request, event_stream
from tests.unit.prices import PRICE, priced

HELLO = [{"role": "user", "content": "hello"}]
GEMINI = "/v1beta/models/gemini-2.5-flash-lite:generateContent"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def plan(
    dialect: Dialect,
    model: str,
    *,
    provider: str | None = None,
    path: str = "",
    encoding: str | None = None,
    price: Any = None,
    **fields: Any,
) -> CallPlan:
    name = model.partition("/")[2] or model
    asked = dialect.open(json.dumps({"model": name, **fields}).encode(), path=path)
    asked = replace(asked, provider=provider)
    return dialect.plan(asked, price=price or priced(model), encoding=encoding)


# Whose request, its model, where in it the limit is written, and how much that is.
WRITTEN: list[tuple[Dialect, str, dict[str, Any], tuple[str, ...], int]] = [
    (OpenAIChat(), "gpt-4o-mini", {}, ("max_completion_tokens",), 16_384),
    (OpenAIChat(), "openai/gpt-5", {}, ("max_completion_tokens",), 128_000),
    (OpenAIChat(), "azure/gpt-4o-mini", {}, ("max_completion_tokens",), 16_384),
    (OpenAIChat(), "groq/openai/gpt-oss-20b", {}, ("max_completion_tokens",), 65_536),
    (OpenAIChat(), "deepseek/deepseek-chat", {}, ("max_tokens",), 8192),
    (OpenAIResponses(), "gpt-5", {"input": "hello"}, ("max_output_tokens",), 128_000),
    (AnthropicMessages(), "claude-sonnet-4-5", {}, ("max_tokens",), 64_000),
    (Gemini(), "gemini/gemini-2.5-flash-lite", CONTENTS,
     ("generationConfig", "maxOutputTokens"), 65_536),
]  # fmt: skip


@pytest.mark.parametrize("none", [{}, {"max_tokens": None, "max_completion_tokens": None}])
@pytest.mark.parametrize(("dialect", "model", "fields", "at", "limit"), WRITTEN)
def test_models_own_limit_is_the_bound_and_is_sent(
    dialect: Dialect,
    model: str,
    fields: dict[str, Any],
    at: tuple[str, ...],
    limit: int,
    none: dict[str, Any],
) -> None:
    path = GEMINI if "contents" in fields else ""
    if none and not isinstance(dialect, OpenAIChat):
        none = {"max_output_tokens": None} if "input" in fields else {}
    asked = fields or {"messages": HELLO}
    made = plan(dialect, model, path=path, **asked, **none)
    found: Any = json.loads(made.body)
    assert not [name for name, value in found.items() if value is None]
    for name in at:
        found = found[name]
    assert found == made.output_tokens == made.output_limit == limit
    assert made.own_limit
    fewer = dialect.refit(made, 100)
    assert len(fewer.body) < len(made.body)
    assert fewer.bound(priced(model)).nano < made.bound(priced(model)).nano


@pytest.mark.parametrize("options", [{}, {"num_predict": -1}, {"num_predict": -2}])
def test_local_models_limit_is_what_its_context_leaves(options: dict[str, Any]) -> None:
    made = plan(Ollama(), "ollama/llama3.1", messages=HELLO, options=options)
    limit = json.loads(made.body)["options"]["num_predict"]
    assert limit == made.output_tokens
    assert 6000 < limit < 8192


@pytest.mark.parametrize("words", [100, 50_000])
def test_limit_leaves_the_prompt_its_room_in_a_context_that_both_share(words: int) -> None:
    messages = [{"role": "user", "content": "word " * words}]
    made = plan(OpenAIChat(), "mistral/mistral-small-latest", messages=messages)
    price = priced("mistral/mistral-small-latest")
    assert price.max_output_tokens == price.context_tokens
    assert price.context_tokens is not None
    # A word is a token, and its bytes are five: what is left is for the answer.
    assert words + made.output_tokens <= price.context_tokens
    assert made.output_tokens >= price.context_tokens - 3 * words - 100


def test_prompt_that_is_too_long_is_for_the_provider_to_refuse() -> None:
    messages = [{"role": "user", "content": "word " * 400_000}]
    made = plan(OpenAIChat(), "gpt-4o-mini", encoding="o200k_base", messages=messages)
    assert made.output_tokens == 16_384


def test_own_limit_is_taken_once_for_each_answer() -> None:
    assert plan(OpenAIChat(), "gpt-4o-mini", messages=HELLO, n=3).output_tokens == 3 * 16_384


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_who_is_spoken_to_decides_the_name(provider: str) -> None:
    made = plan(OpenAIChat(), "gpt-4o-mini", provider=provider, messages=HELLO)
    name = "max_completion_tokens" if provider == "openai" else "max_tokens"
    assert json.loads(made.body)[name] == 16_384


NAMES: list[tuple[Dialect, str, dict[str, Any]]] = [
    (OpenAIChat(), "max_tokens", {"messages": HELLO}),
    (OpenAIResponses(), "max_output_tokens", {"input": "hello"}),
    (AnthropicMessages(), "max_tokens", {"messages": HELLO}),
    (Gemini(), "maxOutputTokens", CONTENTS),
    (Ollama(), "num_predict", {"messages": HELLO}),
]


@pytest.mark.parametrize(("dialect", "name", "fields"), NAMES)
def test_only_where_no_limit_is_known_is_it_refused_with_the_fix(
    dialect: Dialect, name: str, fields: dict[str, Any]
) -> None:
    assert PRICE.max_output_tokens is None
    with pytest.raises(NotBounded, match=name):
        plan(dialect, "mine/model", price=PRICE, path=GEMINI, **fields)


# As money runs low

PRICED = priced("gpt-4o-mini")
UNLIMITED = chat_request(max_tokens=None)


def whole() -> int:
    made = plan(OpenAIChat(), "gpt-4o-mini", encoding="o200k_base", messages=HELLO)
    return made.bound(PRICED).nano


def with_money(nano: int, **governing: Any) -> FakeGoverning:
    return FakeGoverning(desk=FakeDesk(ceiling_nano=nano), **governing)


def cut(tokens: int) -> httpx.Response:
    reply = ok(completion=tokens).json()
    reply["choices"][0]["finish_reason"] = "length"
    return httpx.Response(200, json=reply)


def sent(made: Any) -> list[int]:
    return [body["max_completion_tokens"] for body in made.provider.bodies]


async def test_whole_limit_is_sent_while_the_money_is_there(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(2 * whole()))
    with scope(Scope(made.governing)):
        await made.post(UNLIMITED)
    assert sent(made) == [16_384]


async def test_with_less_money_a_share_of_it_is_asked_for(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(whole() - 1))
    with scope(Scope(made.governing)):
        assert (await made.post(UNLIMITED)).status_code == 200
    assert sent(made)[0] in range(16_384 // 8 - 10, 16_384 // 8 + 1)
    first, second = made.desk.demands.values()
    assert (first.yields, second.yields) == (True, True)


async def test_with_little_money_all_of_it_is_asked_for_down_to_the_floor(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(400 * 600))
    with scope(Scope(made.governing)):
        await made.post(UNLIMITED)
    assert 300 < sent(made)[0] < 400
    poor = wire(ok(), governing=with_money(60 * 600))
    with scope(Scope(poor.governing)), pytest.raises(OverBudget) as refused:
        await poor.post(UNLIMITED)
    assert not poor.provider.requests
    assert "set max_tokens" in str(refused.value)
    assert "16,384 output tokens" in str(refused.value)


async def test_answer_that_the_share_cuts_is_asked_again_with_all_that_is_left(
    wire: MakeWire,
) -> None:
    made = wire(cut(2047), ok(text="all of it"), governing=with_money(whole() - 1))
    with scope(Scope(made.governing)):
        reply = await made.post(UNLIMITED)
    assert reply.json()["choices"][0]["message"]["content"] == "all of it"
    first, second = sent(made)
    assert first < 2100 < 14_000 < second < 16_384
    assert made.desk.outcomes == ["settle", "settle"]


async def test_answer_that_all_that_is_left_cuts_fails_with_the_numbers(wire: MakeWire) -> None:
    made = wire(cut(380), governing=with_money(400 * 600))
    with scope(Scope(made.governing)), pytest.raises(OverBudget, match=r"cut at 3\d\d .*16,384"):
        await made.post(UNLIMITED)
    assert len(made.provider.requests) == 1


async def test_limit_that_the_caller_set_is_never_lowered_by_what_is_left(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(whole() - 1))
    with scope(Scope(made.governing)), pytest.raises(OverBudget) as refused:
        await made.post(chat_request(max_tokens=16_384))
    assert "set max_tokens" not in str(refused.value)
    (demand,) = made.desk.demands.values()
    assert not demand.yields


async def test_limit_that_the_client_library_set_is_as_none(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(whole() - 1))
    with scope(Scope(made.governing, accepted=Accepted(no_limit=True))):
        await made.post(chat_request(max_tokens=16_384))
    assert [body["max_tokens"] for body in made.provider.bodies] < [2100]


def cut_stream(tokens: int) -> httpx.Response:
    events = chat_events(completion=tokens, text="half of")
    return event_stream([each.replace(b'"stop"', b'"length"') for each in events])


STREAMED = chat_request(max_tokens=None, stream=True)


async def test_stream_that_the_money_is_there_for_is_passed_on_as_it_comes(wire: MakeWire) -> None:
    made = wire(lambda: event_stream(chat_events()), governing=with_money(2 * whole()))
    with scope(Scope(made.governing)):
        await made.post(STREAMED)
    assert sent(made) == [16_384]


async def test_stream_is_asked_for_with_less_and_nothing_of_a_cut_one_is_passed_on(
    wire: MakeWire,
) -> None:
    made = wire(
        cut_stream(2047), event_stream(chat_events(text="all of it")),
        governing=with_money(whole() - 1),
    )  # fmt: skip
    with scope(Scope(made.governing)):
        reply = await made.post(STREAMED)
    assert "half" not in reply.text
    assert reply.text.endswith("[DONE]\n\n") and "usage" not in reply.text
    assert reply.headers["content-type"] == "text/event-stream"
    first, second = sent(made)
    assert first < 2100 < 14_000 < second < 16_384
    assert made.desk.outcomes == ["settle", "settle"]
    assert not made.desk.reserved


async def test_stream_that_all_that_is_left_cuts_fails_with_the_numbers(wire: MakeWire) -> None:
    made = wire(cut_stream(380), governing=with_money(400 * 600))
    with scope(Scope(made.governing)), pytest.raises(OverBudget, match=r"cut at 3\d\d .*16,384"):
        await made.post(STREAMED)
    assert len(made.provider.requests) == 1


async def test_held_stream_without_its_end_stays_charged_and_a_broken_one_raises(
    wire: MakeWire,
) -> None:
    made = wire(lambda: event_stream(chat_events(prompt=None)), governing=with_money(whole() - 1))
    with scope(Scope(made.governing)):
        assert "hello" in (await made.post(STREAMED)).text
    assert made.desk.outcomes == ["unconfirm"]
    broken = wire(
        event_stream([*chat_events()[:1], httpx.ReadError("gone")]),
        governing=with_money(whole() - 1),
    )
    with scope(Scope(broken.governing)), pytest.raises(httpx.ReadError):
        await broken.post(STREAMED)
    assert broken.desk.outcomes == ["unconfirm"]


@pytest.mark.parametrize("off", ["runtime", "scope", "n"])
async def test_what_cannot_be_asked_again_is_asked_for_whole_or_refused(
    wire: MakeWire, off: str
) -> None:
    governing = with_money(whole() - 1, fit=off != "runtime")
    made = wire(ok(), governing=governing)
    fields = {"n": 2} if off == "n" else {}
    with scope(Scope(governing, fit=off != "scope")), pytest.raises(OverBudget):
        await made.post(chat_request(max_tokens=None, **fields))
    assert not made.provider.requests


async def test_pause_for_a_raise_is_only_for_what_less_will_not_do_for(wire: MakeWire) -> None:
    made = wire(ok(), governing=with_money(whole() - 1, pause_seconds=60.0))
    with scope(Scope(made.governing)):
        await made.post(UNLIMITED)
    assert made.desk.pauses == [0.0, 0.0]
    poor = wire(ok(), governing=with_money(60 * 600, pause_seconds=60.0))
    with scope(Scope(poor.governing)), pytest.raises(OverBudget):
        await poor.post(UNLIMITED)
    assert poor.desk.pauses == [0.0, 60.0]
