"""The bound of a response is never below what a provider may bill; what has none is refused."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.openai.plans import O200K, most_counted, whatever_is_asked
from tests.unit.blocks.wire.dialects.openai.plans import response_plan as plan
from tests.unit.prices import priced

DIALECT = OpenAIResponses()
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


def refused(message: str, **fields: Any) -> None:
    with pytest.raises(NotBounded, match=message):
        plan(**fields)


def test_gateways_are_known_by_the_end_of_the_path() -> None:
    for path in ("/v1/responses", "/responses", "/api/v1/responses/"):
        assert isinstance(dialect_of("POST", path), OpenAIResponses)
    for method, path in [
        ("DELETE", "/v1/responses"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("POST", "/v1/responses/input_tokens"),
    ]:
        assert not DIALECT.matches(method, path)


# The bound


def test_input_bound_is_one_and_a_half_times_the_local_tokens_and_the_overhead() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 50
    made = plan(input=text, instructions=text)
    local = 2 * count_tokens(text, O200K)
    assert made.local_input_tokens == local
    # A request, a message, and the instructions, which become one.
    assert made.input_tokens == math.ceil(1.5 * local) + 16 * 3


def test_text_is_the_same_as_a_text_or_as_a_message_of_parts() -> None:
    text = "line one\nline two\n" * 40
    parts = [{"type": "input_text", "text": text}]
    for given_input in (
        [{"role": "user", "content": text}],
        [{"type": "message", "role": "user", "content": parts}],
    ):
        assert plan(input=given_input).input_tokens == plan(input=text).input_tokens


def test_input_bound_is_the_bytes_where_no_tokenizer_is_known() -> None:
    made = plan(encoding=None)
    assert made.input_tokens == len(made.body) + 16 * 3
    assert made.local_input_tokens is None


def test_tools_schemas_calls_and_their_outputs_are_counted() -> None:
    bare = plan(input=[]).input_tokens
    assert plan(input=[], tools=[TOOL] * 3).input_tokens > bare + 3 * 16
    schema = {"format": {"type": "json_schema", "name": "x", "schema": {"title": "word " * 99}}}
    assert plan(input=[], text=schema).input_tokens > bare + 99
    for item in (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "word " * 99},
        {"type": "function_call_output", "call_id": "c", "output": "word " * 99},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "word " * 99},
        {
            "type": "custom_tool_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "word " * 99}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "word " * 99, "annotations": []}],
        },
    ):
        assert plan(input=[item]).input_tokens > bare + 99


def test_thoughts_that_only_the_provider_can_read_count_a_token_a_byte() -> None:
    sealed = {**REASONING, "encrypted_content": "A" * 4000}
    made = plan(input=[sealed])
    assert made.input_tokens >= 4000
    # ... and teach nothing of how the provider counts.
    assert made.local_input_tokens is None


@pytest.mark.parametrize(
    ("model", "thinks"),
    [("gpt-5", True), ("gpt-5.6-luna", True), ("o3-mini", True), ("gpt-5-codex", True),
     ("gpt-4o-mini", False), ("gpt-5-chat-latest", False)],
)  # fmt: skip
def test_thoughts_are_asked_for_so_that_a_second_turn_is_bounded(model: str, thinks: bool) -> None:
    others = ["file_search_call.results"]
    sealed = ["reasoning.encrypted_content"]
    for include in (None, [], others):
        fields: dict[str, Any] = {} if include is None else {"include": include}
        asked = json.loads(plan(model=model, **fields).body).get("include")
        assert asked == ([*(include or []), *sealed] if thinks else include)
    assert json.loads(plan(model=model, include=sealed).body)["include"] == sealed


def test_thoughts_are_not_asked_for_of_those_who_only_speak_like_openai() -> None:
    body = {"model": "gpt-5", "input": "What is it?", "max_output_tokens": 20}
    asked = replace(DIALECT.open(json.dumps(body).encode()), provider="openrouter")
    made = DIALECT.plan(asked, price=priced("gpt-5"), encoding=None)
    assert "include" not in json.loads(made.body)


@whatever_is_asked
def test_no_provider_within_the_premise_counts_more_than_the_bound(
    texts: list[str], tools: list[str], factor: float
) -> None:
    items = [{"role": "user", "content": text} for text in texts]
    declared = [{"type": "function", "name": "f", "description": t} for t in tools]
    made = plan(input=items, tools=declared or None)
    assert most_counted(made, texts, declared, factor) <= made.input_tokens


def test_output_bound_is_max_output_tokens_thoughts_included() -> None:
    made = plan(model="gpt-5-mini", max_output_tokens=300, reasoning={"effort": "high"})
    assert made.output_tokens == made.output_limit == 300


@pytest.mark.parametrize("item", ["message", "function_call_output"])
def test_image_is_bounded_by_its_models_rule_whatever_its_size(item: str) -> None:
    name = "content" if item == "message" else "output"

    def made(**image: Any) -> CallPlan:
        parts = [{"type": "input_text", "text": "look"}, {"type": "input_image", **image}]
        return plan(model="gpt-4o", input=[{"type": item, "role": "user", name: parts}])

    small = made(image_url="https://x.test/a.png").input_tokens
    assert small > 85 + 8 * 170
    assert made(image_url="data:image/png;base64," + "A" * 99_999).input_tokens == small
    assert made(image_url="https://x.test/a.png", detail="low").input_tokens <= small - 8 * 170
    assert made(file_id="file_1").input_tokens <= small
    for image in ({}, {"image_url": "x", "detail": "original"}):
        with pytest.raises(NotBounded, match="image"):
            made(**image)
    with pytest.raises(NotBounded, match="o3-mini"):
        plan(
            model="o3-mini",
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}],
        )


@pytest.mark.parametrize("limit", [0, -1, True, "20", 1.5])
def test_output_without_a_limit_is_refused(limit: Any) -> None:
    refused("max_output_tokens", max_output_tokens=limit)


def test_fitted_plan_asks_for_the_smaller_answer_and_a_stream_is_never_fitted() -> None:
    made = plan(max_output_tokens=500)
    assert made.least_output_tokens == 16
    fitted = DIALECT.refit(made, 64)
    assert json.loads(fitted.body) == {**json.loads(made.body), "max_output_tokens": 64}
    assert (fitted.output_tokens, fitted.output_limit) == (64, 64)
    assert plan(stream=True).least_output_tokens == 16


# What is refused, by name


@pytest.mark.parametrize(
    "field",
    ["previous_response_id", "conversation", "prompt", "context_management", "n", "max_tokens"],
)
def test_field_whose_cost_is_not_in_the_body_is_refused_by_name(field: str) -> None:
    refused(f"`{field}`", **{field: "resp_123"})
    nothing: dict[str, Any] = {field: None}
    assert plan(**nothing)


def test_background_is_refused_and_its_absence_is_not() -> None:
    refused("`background`", background=True)
    assert plan(background=False)


@pytest.mark.parametrize(
    "kind",
    ["web_search", "web_search_preview", "file_search", "code_interpreter", "computer_use_preview",
     "mcp", "image_generation", "local_shell", "shell", "apply_patch", "never-heard-of"],
)  # fmt: skip
def test_hosted_tool_is_refused_by_name(kind: str) -> None:
    refused(f"hosted tool '{kind}'", tools=[TOOL, {"type": kind}])


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"type": "image_generation_call", "id": "x"},
        {"type": "computer_call_output", "call_id": "x", "output": {}},
        {"type": "web_search_call", "id": "x"},
        {"type": "mcp_call", "id": "x"},
        {"type": "compaction", "encrypted_content": "x"},
        {"id": "no type"},
    ],
)
def test_item_whose_cost_is_not_in_the_body_is_refused_by_name(item: dict[str, Any]) -> None:
    refused(str(item.get("type")), input=[item])


def test_thoughts_by_their_name_alone_are_refused_with_the_fix() -> None:
    refused("reasoning.encrypted_content", input=[REASONING])


@pytest.mark.parametrize("kind", ["input_file", "input_audio", "never-heard-of"])
@pytest.mark.parametrize("item", ["message", "function_call_output"])
def test_part_that_its_bytes_do_not_bound_is_refused_by_name(item: str, kind: str) -> None:
    name = "content" if item == "message" else "output"
    refused(f"'{kind}'", input=[{"type": item, "role": "user", name: [{"type": kind}]}])


@pytest.mark.parametrize("given_input", [None, 3, {"role": "user"}, ["text"], [None]])
def test_input_that_is_neither_text_nor_items_is_refused(given_input: Any) -> None:
    refused("`input`", input=given_input)


def test_what_only_lowers_or_changes_no_cost_passes() -> None:
    assert plan(
        truncation="auto", store=False, include=["reasoning.encrypted_content"], top_p=0.5,
        temperature=0, metadata={"a": "b"}, max_tool_calls=3, parallel_tool_calls=True, user="u",
        prompt_cache_key="k", safety_identifier="s", stream_options={"include_obfuscation": False},
    )  # fmt: skip


# The service tier


def test_tier_is_asked_for_by_name_where_a_model_has_dearer_ones() -> None:
    made = plan(model="gpt-5")
    assert json.loads(made.body)["service_tier"] == "default"
    assert "service_tier" not in json.loads(plan(model="o3-mini").body)
    price = priced("gpt-5")
    auto = plan(model="gpt-5", service_tier="auto")
    assert auto.bound(price).nano > made.bound(price).nano
    assert plan(model="gpt-5", service_tier="flex").bound(price).nano < made.bound(price).nano
    refused("service tier", model="o3-mini", service_tier="priority")
