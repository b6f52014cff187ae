"""A part whose size nobody sees is refused by name, or bounded by the model's context window at the
dearest rate where the caller accepts that."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.prices.tariffs import Rates, bound_cost
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.gemini.generate import Gemini
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import CallPlan, Dialect
from prefect_governor.blocks.wire.requests.unseen import widened_by
from tests.unit.prices import PRICE, priced

DEARER = Rates(Decimal("0.000006"), Decimal("0.0000225"))
CONTEXT = Accepted(unseen=True)
NOTHING = Accepted()
LIMIT = 20


def plan(
    dialect: Dialect,
    model: str,
    body: dict[str, Any],
    accepted: Accepted = CONTEXT,
    *,
    price: Price | None = None,
    provider: str | None = None,
) -> CallPlan:
    name = model.rpartition("/")[2]
    asked = dialect.open(
        json.dumps({"model": name, **body}).encode(), path=f"/v1beta/models/{name}:generateContent"
    )
    asked = replace(asked, accepted=accepted, provider=provider)
    return dialect.plan(asked, price=price or priced(model), encoding=None)


def chat(*parts: Any, **fields: Any) -> dict[str, Any]:
    content: Any = [{"type": "text", "text": "hi"}, *parts]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": LIMIT, **fields}


def respond(*items: Any, **fields: Any) -> dict[str, Any]:
    said = {"role": "user", "content": "hi"}
    return {"input": [said, *items], "max_output_tokens": LIMIT, **fields}


def part(part: Any) -> dict[str, Any]:
    return respond({"role": "user", "content": [part]})


def gemini(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": "hi"}, *parts]}],
        "generationConfig": {"maxOutputTokens": LIMIT},
        **fields,
    }


def document(kind: str, **source: Any) -> dict[str, Any]:
    return chat({"type": "document", "source": {"type": kind, **source}})


GPT, CLAUDE, FLASH = "gpt-4o", "claude-sonnet-4-5", "gemini/gemini-2.5-flash"
WINDOWS = {GPT: 128_000, CLAUDE: 200_000, FLASH: 1_048_576}
# Whose request, its model, what of it is unseen, and what names it in the refusal.
UNSEEN: list[tuple[Dialect, str, dict[str, Any], str]] = [
    (OpenAIChat(), GPT, chat({"type": "file", "file": {"file_id": "f"}}), "'file'"),
    (OpenAIChat(), GPT, chat({"type": "input_audio", "input_audio": {}}), "'input_audio'"),
    (OpenAIChat(), GPT, chat({"type": "video_url", "video_url": {}}), "'video_url'"),
    (OpenAIChat(), GPT, chat(previous_response_id="r"), "previous_response_id"),
    (OpenAIChat(), GPT, chat(prompt_mode="reasoning"), "prompt_mode"),
    (OpenAIChat(), GPT, chat(citation_options="enabled"), "citation_options"),
    (OpenAIChat(), GPT, chat(extra_body={"google": {"cached_content": "c"}}), "cached_content"),
    (OpenAIResponses(), GPT, respond(previous_response_id="r"), "previous_response_id"),
    (OpenAIResponses(), GPT, respond(conversation="c"), "conversation"),
    (OpenAIResponses(), GPT, respond({"type": "item_reference", "id": "i"}), "item_reference"),
    (OpenAIResponses(), GPT, respond({"type": "reasoning", "id": "i"}), "encrypted_content"),
    (OpenAIResponses(), GPT, part({"type": "input_file", "file_url": "u"}), "input_file"),
    (OpenAIResponses(), GPT, part({"type": "input_audio", "input_audio": {}}), "input_audio"),
    (AnthropicMessages(), CLAUDE, document("base64", data="AA"), "'base64'"),
    (AnthropicMessages(), CLAUDE, document("url", url="u"), "'url'"),
    (AnthropicMessages(), CLAUDE, document("file", file_id="f"), "'file'"),
    (AnthropicMessages(), CLAUDE, chat({"type": "web_search_tool_result"}), "web_search_tool"),
    (AnthropicMessages(), CLAUDE,
     chat(thread={"type": "continue", "previous_message_id": "m"}), "thread"),
    (Gemini(), FLASH, gemini({"inlineData": {"data": "AA"}}), "inlineData"),
    (Gemini(), FLASH, gemini({"file_data": {"file_uri": "u"}}), "fileData"),
    (Gemini(), FLASH, gemini(cachedContent="cachedContents/1"), "cachedContent"),
    (Gemini(), FLASH, gemini({"functionResponse": {"parts": [{}]}}), "functionResponse"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "model", "body", "name"), UNSEEN)
def test_unseen_part_is_refused_by_name_and_the_message_says_what_bounds_it(
    dialect: Dialect, model: str, body: dict[str, Any], name: str
) -> None:
    with pytest.raises(NotBounded, match=r'unseen="context"') as refused:
        plan(dialect, model, body, NOTHING)
    assert name in str(refused.value)


@pytest.mark.parametrize(("dialect", "model", "body", "name"), UNSEEN)
def test_unseen_part_that_is_accepted_is_bounded_by_the_context_window_at_the_dearest_rate(
    dialect: Dialect, model: str, body: dict[str, Any], name: str
) -> None:
    made = plan(dialect, model, body)
    price = priced(model)
    assert made.input_tokens == WINDOWS[model]
    assert made.local_input_tokens is None, "what nobody sees teaches nothing"
    nano = made.bound(price).nano
    text = bound_cost(price, WINDOWS[model], LIMIT, cache_writes=made.cache_writes)
    if made.audio and price.audio_input is not None:
        # A token of audio costs more than one of text with Gemini's flash.
        assert nano == bound_cost(price, WINDOWS[model], LIMIT, cache_writes=False, audio=True)
        assert nano > 3 * text
    else:
        assert nano == text


@pytest.mark.parametrize(("dialect", "model", "body", "name"), UNSEEN)
def test_where_no_window_is_known_it_is_refused_all_the_same(
    dialect: Dialect, model: str, body: dict[str, Any], name: str
) -> None:
    assert PRICE.context_tokens is None
    with pytest.raises(NotBounded, match="no context window"):
        plan(dialect, model, body, price=PRICE)


def test_window_that_a_beta_widens_is_bounded_so_wide() -> None:
    price = priced(CLAUDE)
    dearer = replace(price, standard=replace(price.standard, above=((200_000, DEARER),)))
    body = document("url", url="u")
    assert plan(AnthropicMessages(), CLAUDE, body, price=dearer).input_tokens == 1_000_000
    widened = widened_by({"anthropic-beta": "x-1,context-1m-2025-08-07"}, price)
    assert plan(AnthropicMessages(), CLAUDE, body, price=widened).input_tokens == 1_000_000
    assert widened_by({"anthropic-beta": "x-1"}, price) == price


def test_image_of_a_model_without_a_rule_is_unseen() -> None:
    body = chat({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}})
    with pytest.raises(NotBounded, match=r'o3-mini.*unseen="context"'):
        plan(OpenAIChat(), "o3-mini", body, NOTHING)
    assert plan(OpenAIChat(), "o3-mini", body).input_tokens == 200_000
    assert plan(OpenAIChat(), GPT, body).input_tokens < 2000, "a rule bounds it tighter"


def test_audio_that_is_charged_by_the_second_is_refused_by_the_key() -> None:
    by_the_second = replace(priced(FLASH), audio_key="input_cost_per_audio_per_second")
    with pytest.raises(NotBounded, match="input_cost_per_audio_per_second"):
        plan(Gemini(), FLASH, gemini({"inlineData": {}}), price=by_the_second)


def test_file_at_openrouter_is_read_by_what_is_billed_beside_the_tokens() -> None:
    body = chat({"type": "file", "file": {"file_id": "f"}})
    with pytest.raises(NotBounded, match="OpenRouter"):
        plan(OpenAIChat(), GPT, body, provider="openrouter")


# Templates are code


@pytest.mark.parametrize("accepted", [NOTHING, CONTEXT])
def test_template_is_bounded_by_the_context_window_whoever_accepts_what(
    accepted: Accepted,
) -> None:
    loop = "{% for i in range(10**6) %}again {% endfor %}"
    made = plan(OpenAIChat(), GPT, chat(chat_template=loop), accepted)
    assert made.input_tokens == WINDOWS[GPT]
    local = {"prompt": "x", "options": {"num_predict": LIMIT}, "template": "{{ range }}"}
    made = plan(Ollama(), "ollama/llama3.1", local, accepted)
    assert made.input_tokens >= 8192
    for dialect, body in ((OpenAIChat(), chat(chat_template=loop)), (Ollama(), local)):
        with pytest.raises(NotBounded, match="template"):
            plan(dialect, "mine/model", body, accepted, price=PRICE)


# Hosted searches

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}


def searched(uses: Any = 3, accepted: Accepted = CONTEXT, **tool: Any) -> CallPlan:
    body = chat(tools=[{**SEARCH, "max_uses": uses, **tool}])
    return plan(AnthropicMessages(), "claude-opus-4-5", body, accepted)


def test_hosted_search_within_its_uses_is_bounded_with_its_fees() -> None:
    price = priced("claude-opus-4-5")
    made = searched()
    # The model reads the whole of its context again after each search.
    assert (made.input_tokens, made.searches) == (4 * 200_000, 3)
    assert price.search_fee == Decimal("0.01")
    fees = made.bound(price).nano - replace(made, searches=0).bound(price).nano
    assert fees == 3 * 10_000_000
    body = respond(tools=[{"type": "web_search"}], max_tool_calls=2)
    asked = plan(OpenAIResponses(), "gpt-5", body)
    assert (asked.input_tokens, asked.searches) == (3 * 272_000, 2)


@pytest.mark.parametrize("uses", [None, 0, "3", -1])
def test_hosted_search_that_does_not_say_how_often_is_refused(uses: Any) -> None:
    with pytest.raises(NotBounded, match="max_uses"):
        searched(uses)
    with pytest.raises(NotBounded, match="max_tool_calls"):
        plan(OpenAIResponses(), "gpt-5", respond(tools=[{"type": "web_search"}]))


def test_hosted_search_that_nobody_accepts_or_whose_fee_is_not_known_is_refused() -> None:
    with pytest.raises(NotBounded, match=r'web_search_20250305.*unseen="context"'):
        searched(accepted=NOTHING)
    with pytest.raises(NotBounded, match="what one costs"):
        plan(AnthropicMessages(), CLAUDE, chat(tools=[{**SEARCH, "max_uses": 1}]),
             price=replace(priced(CLAUDE), search_fee=None))  # fmt: skip
    with pytest.raises(NotBounded, match="runs code"):
        searched(type="web_search_20260209")
    with pytest.raises(NotBounded, match="fixed block"):
        body = respond(tools=[{"type": "web_search"}], max_tool_calls=2)
        plan(OpenAIResponses(), "gpt-4o-mini", body)


def test_searches_that_were_made_are_settled_by_the_piece() -> None:
    price, made = priced("claude-opus-4-5"), searched()
    usage = {"input_tokens": 9000, "output_tokens": 10}
    reply = {"usage": usage, "stop_reason": "end_turn"}
    without = AnthropicMessages().read(json.dumps(reply).encode())
    usage["server_tool_use"] = {"web_search_requests": 2, "web_fetch_requests": 1}  # type: ignore[assignment]
    billed = AnthropicMessages().read(json.dumps(reply).encode())
    assert billed is not None and without is not None
    assert billed.is_priced(price) and not billed.is_priced(PRICE)
    assert billed.usage(price, made).nano == without.usage(price, made).nano + 20_000_000
    assert billed.usage(price, made).nano <= made.bound(price).nano


def test_of_openais_searches_only_those_are_billed_by_the_piece() -> None:
    output = [
        {"type": "web_search_call", "action": {"type": kind}}
        for kind in ("search", "open_page", "find_in_page", "search")
    ]
    usage = {"input_tokens": 9000, "output_tokens": 10}
    reply = {"status": "completed", "usage": usage, "output": output}
    billed = OpenAIResponses().read(json.dumps(reply).encode())
    assert billed is not None
    assert billed.parts.searches == 2


# Audio is settled at its own rate


def test_audio_is_settled_at_what_audio_costs() -> None:
    price = priced(FLASH)
    made = plan(Gemini(), FLASH, gemini({"inlineData": {}}))
    reply = {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 1000,
            "candidatesTokenCount": 10,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 100},
                {"modality": "AUDIO", "tokenCount": 900},
            ],
        },
    }
    billed = Gemini().read(json.dumps(reply).encode())
    assert billed is not None
    assert price.audio_input is not None
    exact = 100 * price.input + 900 * price.audio_input[0] + 10 * price.output
    assert billed.usage(price, made).nano == exact * 10**9


# A prediction


@pytest.mark.parametrize("content", ["word " * 500, [{"type": "text", "text": "word " * 500}]])
def test_prediction_is_bounded_by_its_own_text(content: Any) -> None:
    body = chat(prediction={"type": "content", "content": content})
    made = plan(OpenAIChat(), GPT, body, NOTHING)
    assert LIMIT + 2500 <= made.output_tokens <= LIMIT + 2600
    assert made.output_limit is None
    assert made.least_output_tokens is None
    twice = plan(OpenAIChat(), GPT, {**body, "n": 2}, NOTHING)
    assert twice.output_tokens == 2 * made.output_tokens


# Thoughts between calls of tools


def test_interleaved_thoughts_are_bounded_beside_the_answer() -> None:
    thinking = {"type": "enabled", "budget_tokens": 5000}
    made = plan(AnthropicMessages(), CLAUDE, chat(thinking=thinking), NOTHING)
    assert made.output_tokens == LIMIT + 5000
    assert made.least_output_tokens is None
    within = plan(AnthropicMessages(), CLAUDE, chat(thinking=thinking, max_tokens=6000), NOTHING)
    assert (within.output_tokens, within.least_output_tokens) == (6000, 5001)


# Fields that the caller allows

ALLOWED: list[tuple[Dialect, str, dict[str, Any]]] = [
    (OpenAIResponses(), GPT, respond(next_years="word " * 500)),
    (AnthropicMessages(), CLAUDE, chat(next_years="word " * 500)),
    (Gemini(), FLASH, gemini(next_years="word " * 500)),
    (Gemini(), FLASH, gemini(nextYears="word " * 500)),
    (Ollama(), "ollama/llama3.1", {"prompt": "x", "next_years": "word " * 500}),
]


@pytest.mark.parametrize(("dialect", "model", "body"), ALLOWED)
def test_field_that_nobody_knows_is_refused_by_name_or_allowed_and_counted(
    dialect: Dialect, model: str, body: dict[str, Any]
) -> None:
    with pytest.raises(NotBounded, match=r"(?i)next_?years.*allow_fields"):
        plan(dialect, model, body, NOTHING)
    made = plan(dialect, model, body, Accepted(frozenset({"next_years"})))
    assert made.input_tokens > 2500
