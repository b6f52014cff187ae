import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.fakes import chat_events, chat_reply, chat_request

DIALECT = OpenAIChat()
O200K = "o200k_base"
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def plan(*, model: str = "gpt-4o-mini", encoding: str | None = O200K, **fields: Any) -> CallPlan:
    price = load_price(model)
    assert price is not None
    body = json.dumps(chat_request(model=model, **fields)).encode()
    return DIALECT.plan(DIALECT.open(body), price=price, encoding=encoding)


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


words = st.text(min_size=0, max_size=120)


@given(
    texts=st.lists(words, min_size=1, max_size=5),
    tools=st.lists(words, max_size=3),
    factor=st.floats(1.0, 1.5),
)
def test_no_provider_within_the_premise_counts_more_than_the_bound(
    texts: list[str], tools: list[str], factor: float
) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    declared = [{"type": "function", "function": {"name": "f", "description": t}} for t in tools]
    made = plan(messages=messages, tools=declared or None)
    # The provider's own arithmetic: 4 a message and 3 a request, the tools as JSON, its factor.
    count = 3 + sum(4 + count_tokens(text, O200K) for text in texts)
    if declared:
        written = json.dumps(declared, ensure_ascii=False, separators=(",", ":"))
        count += count_tokens(written, O200K)
    ceiling = len(made.body) + 16 * (len(messages) + len(declared))
    assert min(math.ceil(count * factor), ceiling) <= made.input_tokens


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
        {"max_tokens": None},
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
        {"prediction": {"type": "content", "content": "x"}},
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
    price = load_price("gpt-4o-mini")
    assert price is not None
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
    price = load_price("gpt-5")
    assert price is not None
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


# Replies


@pytest.mark.parametrize(
    ("usage", "parts"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 5, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}, (10, 0, 0, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, (10, 30, 0, 0)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, 8, 3),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 11},
            },
            (10, 5, 0, 0),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            (10, 5, 4, 0),
        ),
    ],
)
def test_usage_is_read_as_it_was_billed(
    usage: dict[str, Any], parts: tuple[int, int, int, int]
) -> None:
    billed = DIALECT.read(json.dumps({"usage": usage}).encode())
    assert billed is not None
    found = billed.parts
    assert (
        found.input_tokens,
        found.output_tokens,
        found.cached_input_tokens,
        found.reasoning_tokens,
    ) == parts


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"usage": None},
        {"usage": []},
        {"usage": {}},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 2}},
        {"usage": {"prompt_tokens": 5}},
        {"usage": {"prompt_tokens": "5", "completion_tokens": 2}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 2}},
        [],
    ],
)
def test_usage_that_cannot_be_is_none_at_all(reply: Any) -> None:
    assert DIALECT.read(json.dumps(reply).encode()) is None


def test_tier_of_the_reply_is_what_is_settled() -> None:
    price = load_price("gpt-5")
    assert price is not None
    asked = plan(model="gpt-5", service_tier="auto")
    billed = DIALECT.read(json.dumps(chat_reply(1000, 10, service_tier="flex")).encode())
    silent = DIALECT.read(json.dumps(chat_reply(1000, 10)).encode())
    assert billed is not None and silent is not None
    assert billed.usage(price, asked).nano * 4 == silent.usage(price, asked).nano


# Streams


def test_caller_who_asked_for_the_usage_is_shown_it() -> None:
    made = plan(stream=True, stream_options={"include_usage": True})
    assert not made.hide_usage
    reader = DIALECT.stream(made)
    events = chat_events()
    assert b"".join(reader.feed(event) for event in events) == b"".join(events)


def test_other_stream_options_are_kept() -> None:
    made = plan(stream=True, stream_options={"include_obfuscation": False})
    options = json.loads(made.body)["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


@given(
    text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
    size=st.integers(1, 40),
    crlf=st.booleans(),
)
def test_usage_is_hidden_and_found_wherever_the_stream_is_cut(
    text: str, size: int, crlf: bool
) -> None:
    events = chat_events(11, 4, text=text)
    if crlf:
        events = [event.replace(b"\n", b"\r\n") for event in events]
    whole = b"".join(events)
    reader = DIALECT.stream(plan(stream=True))
    shown = b""
    for start in range(0, len(whole), size):
        assert reader.finished() is None
        shown += reader.feed(whole[start : start + size])
    shown += reader.flush()
    billed = reader.finished()
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens) == (11, 4)
    assert shown == b"".join(event for event in events if b"prompt_tokens" not in event)


def test_running_counts_are_not_taken_for_the_final_one() -> None:
    reader = DIALECT.stream(plan(stream=True))
    for tokens in (1, 2, 9):
        usage = {"prompt_tokens": 5, "completion_tokens": tokens}
        chunk = {"choices": [{"delta": {"content": "x"}}], "usage": usage}
        assert reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        assert reader.finished() is None
    reader.feed(b"data: [DONE]\n\n")
    billed = reader.finished()
    assert billed is not None and billed.parts.output_tokens == 9


def test_terminator_alone_confirms_nothing() -> None:
    reader = DIALECT.stream(plan(stream=True))
    reader.feed(b"".join(chat_events(prompt=None)))
    reader.flush()
    assert reader.finished() is None
