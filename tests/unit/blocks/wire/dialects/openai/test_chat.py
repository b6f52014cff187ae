"""The bound of a chat completion is never below what may be billed; what has none is refused."""

import json
import math
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded, NotGoverned
from prefect_governor.blocks.prices.prices import Price, load_price
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
)
from tests.unit.blocks.wire.dialects.openai.plans import O200K, most_counted, whatever_is_asked
from tests.unit.blocks.wire.dialects.openai.plans import chat_plan as plan
from tests.unit.fakes import chat_request
from tests.unit.prices import priced

DIALECT = OpenAIChat()
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def refused(message: str, **fields: Any) -> None:
    with pytest.raises(NotBounded, match=message):
        plan(**fields)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/api/v1/chat/completions/",
        "/x/chat/completions",
    ],
)
def test_gateways_are_known_by_the_end_of_the_path(path: str) -> None:
    assert isinstance(dialect_of("POST", path), OpenAIChat)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/completions"),
        ("POST", "/v1/images/generations"),
        ("DELETE", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/abc/cancel"),
        ("POST", "/v1/notchat/completions"),
    ],
)
def test_other_paths_are_no_dialects(method: str, path: str) -> None:
    with pytest.raises(NotGoverned, match=path):
        dialect_of(method, path)


# The bound


def test_input_bound_is_one_and_a_half_times_the_local_tokens_and_the_overhead() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 50
    made = plan(messages=[{"role": "system", "content": text}, {"role": "user", "content": text}])
    local = 2 * count_tokens(text, O200K)
    overhead = REQUEST_OVERHEAD_TOKENS + 2 * MESSAGE_OVERHEAD_TOKENS
    assert made.input_tokens == math.ceil(1.5 * local) + overhead


def test_input_bound_is_the_bytes_where_no_tokenizer_is_known() -> None:
    made = plan(encoding=None)
    assert made.input_tokens == len(made.body) + REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS


def test_text_that_is_all_tokens_is_bounded_by_its_bytes() -> None:
    made = plan(messages=[{"role": "user", "content": "\u0e50" * 3000}])
    assert made.input_tokens <= len(made.body) + REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS


def test_tools_and_schemas_and_tool_calls_are_counted() -> None:
    bare = plan().input_tokens
    assert plan(tools=[TOOL] * 3).input_tokens > bare + 3 * TOOL_OVERHEAD_TOKENS
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert plan(response_format=schema).input_tokens > bare
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "x" * 400}}
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    assert plan(messages=messages).input_tokens > 50


def test_parts_of_text_are_counted_as_text() -> None:
    text = "line one\nline two\n" * 40
    parts = [{"type": "text", "text": text}]
    assert (
        plan(messages=[{"role": "user", "content": parts}]).input_tokens
        == plan(messages=[{"role": "user", "content": text}]).input_tokens
    )


@whatever_is_asked
def test_no_provider_within_the_premise_counts_more_than_the_bound(
    texts: list[str], tools: list[str], factor: float
) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    declared = [{"type": "function", "function": {"name": "f", "description": t}} for t in tools]
    made = plan(messages=messages, tools=declared or None)
    assert most_counted(made, texts, declared, factor) <= made.input_tokens


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"max_tokens": 20}, 20),
        ({"max_tokens": None, "max_completion_tokens": 30}, 30),
        ({"max_tokens": 20, "max_completion_tokens": 30}, 30),
        ({"max_tokens": 20, "n": 3}, 60),
        ({"max_tokens": 20, "n": 2, "best_of": 5}, 100),
        ({"max_tokens": 20, "n": None}, 20),
    ],
)
def test_output_bound_is_the_limit_times_the_answers(fields: dict[str, Any], tokens: int) -> None:
    assert plan(**fields).output_tokens == tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": "20"},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"max_tokens": 20, "max_completion_tokens": "x"},
    ],
)
def test_output_without_a_bound_is_refused_with_the_fix(fields: dict[str, Any]) -> None:
    refused("max_tokens", **fields)


@pytest.mark.parametrize("n", [0, -1, "2", True, 1.5])
def test_number_of_answers_that_is_none_is_refused(n: Any) -> None:
    refused("`n`", n=n)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "something_new"},
        {},
        "text",
    ],
)
def test_part_whose_bytes_do_not_bound_it_is_refused_by_name(part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    messages = [{"role": "user", "content": [{"type": "text", "text": "see"}, part]}]
    refused(str(kind), messages=messages)


@pytest.mark.parametrize(
    "fields",
    [
        {"web_search_options": {}},
        {"audio": {"voice": "x"}},
        {"models": ["openai/gpt-4o", "openai/o1-pro"]},
        {"plugins": [{"id": "web"}]},
        {"previous_response_id": "resp_1"},
        {"modalities": ["text", "audio"]},
        {"a_field_of_next_year": 1},
    ],
)
def test_field_that_may_cost_beside_the_tokens_is_refused_by_name(fields: dict[str, Any]) -> None:
    refused(next(iter(fields)), **fields)


@pytest.mark.parametrize("kind", ["web_search", "code_interpreter", "file_search", "mcp"])
def test_hosted_tool_is_refused_by_name(kind: str) -> None:
    refused(kind, tools=[TOOL, {"type": kind}])


def test_earlier_audio_by_id_is_refused() -> None:
    refused("audio", messages=[{"role": "assistant", "audio": {"id": "audio_1"}}])


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"x"', b"{", b"{}", b'{"model": 1}', b'{"model": ""}', b"\xff", b"[" * 9**5],
)
def test_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(NotBounded):
        DIALECT.open(body)


@pytest.mark.parametrize("messages", [None, "x", ["x"], [{"content": 5}], {}])
def test_messages_of_another_shape_are_refused(messages: Any) -> None:
    refused("content|messages", messages=messages)


def test_half_of_a_surrogate_pair_is_sent_as_it_came() -> None:
    body = (
        b'{"model":"gpt-4o-mini","max_tokens":5,"messages":[{"role":"user","content":"\\ud83d"}]}'
    )
    price = priced("gpt-4o-mini")
    made = DIALECT.plan(DIALECT.open(body), price=price, encoding=O200K)
    assert json.loads(made.body)["messages"][0]["content"] == "\ud83d"


# Service tiers and caches


def test_account_setting_cannot_make_a_call_dearer_than_its_bound() -> None:
    made = plan(model="gpt-5")
    assert json.loads(made.body)["service_tier"] == "default"
    assert made.service_tier == "default"


def test_model_without_dearer_tiers_is_sent_as_it_came() -> None:
    assert "service_tier" not in json.loads(plan(model="o3-mini").body)


def test_tier_left_to_the_provider_is_bounded_at_the_dearest() -> None:
    price = priced("gpt-5")
    auto, priority = (
        plan(model="gpt-5", service_tier="auto"),
        plan(model="gpt-5", service_tier="priority"),
    )
    assert json.loads(auto.body)["service_tier"] == "auto"
    assert (
        auto.bound(price).nano
        >= priority.bound(price).nano
        > plan(model="gpt-5").bound(price).nano
        > plan(model="gpt-5", service_tier="flex").bound(price).nano
    )


def test_tier_without_a_price_is_refused_by_name() -> None:
    refused("flex", service_tier="flex")
    refused("service_tier", service_tier=5)


def test_cache_that_is_asked_for_is_bounded_at_its_price() -> None:
    price = load_price("openrouter/anthropic/claude-sonnet-4") or load_price("gpt-5.6")
    assert price is not None
    written = Price(price.standard, provider="anthropic")
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    body = json.dumps(chat_request(messages=[{"role": "user", "content": [part]}])).encode()
    assert DIALECT.plan(DIALECT.open(body), price=written, encoding=None).cache_writes
    plain = json.dumps(chat_request()).encode()
    assert not DIALECT.plan(DIALECT.open(plain), price=written, encoding=None).cache_writes
