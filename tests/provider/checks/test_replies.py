"""Counting tokens and writing replies, without a connection."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jsonschema
import orjson
import pytest

from tests.provider.answers.replies import WORDS, Writer
from tests.provider.answers.schema import minimal
from tests.provider.books.tokens import count_input, count_text, encoding_name
from tests.provider.config import Config
from tests.provider.families.chat import ChatRequest, parse_chat

ENCODINGS = ("o200k_base", "cl100k_base")
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    },
}


def _request(text: str = "hi", **fields: Any) -> ChatRequest:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
    return parse_chat(orjson.dumps(body))


def _writer(**config: Any) -> Writer:
    return Writer(Config.model_validate(config))


@pytest.mark.parametrize("encoding_of", ENCODINGS)
def test_words_are_one_token_each_so_that_the_count_is_known(encoding_of: str) -> None:
    for word in WORDS:
        assert count_text(word, encoding_of) == count_text(f" {word}", encoding_of) == 1


@pytest.mark.parametrize(
    ("model", "encoding_of"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("openai/gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("llama-3", "cl100k_base"),
    ],
)
def test_tokenizer_follows_the_model(model: str, encoding_of: str) -> None:
    assert encoding_name(model) == encoding_of


def _count(body: dict[str, Any], factor: str = "1", size: int = 10**6) -> int:
    return count_input(
        body, size, factor=Fraction(factor), image_tokens=765, encoding_of="o200k_base"
    )


def test_input_counts_messages_tools_and_images() -> None:
    text = {"role": "user", "content": "one two three"}
    assert _count({"messages": [text]}) == 3 + 4 + 3
    assert _count({"messages": [text, text]}) == 3 + 2 * (4 + 3)
    parts = [{"type": "text", "text": "one two three"}, {"type": "image_url", "image_url": {}}]
    assert _count({"messages": [{"role": "user", "content": parts}]}) == 10 + 765
    assert _count({"messages": [text], "tools": [TOOL]}) > 20


def test_factor_is_rounded_up_and_never_passes_the_bytes_of_the_body() -> None:
    body = {"messages": [{"role": "user", "content": "one two three"}]}
    assert _count(body, "1.41") == 15
    assert _count({"messages": [{"role": "user", "content": "x y" * 50}]}, "1.5", size=20) == 36


def test_output_never_passes_the_allowance_and_says_when_it_was_cut() -> None:
    writer = _writer(output_tokens=50, token_factor=1.4)
    (free,) = writer.answer(_request(), 50).choices
    (cut,) = writer.answer(_request(), 7).choices
    assert (free.tokens, free.finish_reason) == (50, "stop")
    assert (cut.tokens, cut.finish_reason) == (7, "length")
    assert count_text(cut.text or "", "o200k_base") == 5
    (greedy,) = _writer(output_tokens="max").answer(_request(), 321).choices
    assert greedy.tokens == count_text(greedy.text or "", "o200k_base") == 321


def test_same_prompt_has_the_same_answer_and_another_prompt_another() -> None:
    writer = _writer(output_tokens=[10, 400])
    first, again, other = (
        writer.answer(_request(text), 1000).choices[0] for text in ("a", "a", "b")
    )
    assert first == again
    assert first != other
    assert {10 <= each.tokens <= 400 for each in (first, other)} == {True}


def test_scripted_text_is_billed_by_its_tokens_and_cut_at_the_allowance() -> None:
    writer = _writer(script={"hi": "alpha beta gamma delta epsilon zeta"})
    (whole,) = writer.answer(_request(), 100).choices
    assert whole.tokens == count_text(whole.text or "", "o200k_base")
    (cut,) = writer.answer(_request(), 2).choices
    assert (cut.text, cut.tokens, cut.finish_reason) == ("alpha beta", 2, "length")


def test_script_consumes_its_list_in_turn_and_repeats_the_last() -> None:
    writer = _writer(script={"nothing": "no", "^hi": ["one", "two"]})
    texts = [writer.answer(_request(), 100).choices[0].text for _ in range(3)]
    assert texts == ["one", "two", "two"]


def test_script_by_turn_does_not_depend_on_what_others_asked() -> None:
    rule = {"match": "hi", "reply": ["one", "two"], "by": "turn"}
    writer = _writer(script=[rule])
    messages = [{"role": "user", "content": "hi"}]
    later = [*messages, {"role": "assistant", "content": "one"}]
    asked = [messages, later, messages]
    texts = [writer.answer(_request(messages=each), 99).choices[0].text for each in asked]
    assert texts == ["one", "two", "one"]


def test_script_may_quote_what_it_matched() -> None:
    writer = _writer(script=[{"match": r"file (\S+)", "reply": r"read \1", "expand": True}])
    assert writer.answer(_request("the file a.md"), 99).choices[0].text == "read a.md"


def test_tools_are_called_in_parallel_in_the_turns_that_the_config_says() -> None:
    writer = _writer(tool_calls=2)
    (choice,) = writer.answer(_request(tools=[TOOL]), 999).choices
    assert (choice.finish_reason, choice.text) == ("tool_calls", None)
    assert len({call.id for call in choice.calls}) == 2
    for call in choice.calls:
        jsonschema.validate(orjson.loads(call.arguments), TOOL["function"]["parameters"])
    assert 0 < choice.tokens < 999
    one = _request(tools=[TOOL], parallel_tool_calls=False)
    assert len(writer.answer(one, 999).choices[0].calls) == 1
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"}]
    later = _request(tools=[TOOL], messages=turns)
    assert writer.answer(later, 999).choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("choice", "calls"),
    [("none", 0), ("auto", 0), ("required", 1), ({"function": {"name": "search"}}, 1)],
)
def test_tool_choice_is_obeyed(choice: Any, calls: int) -> None:
    request = _request(tools=[TOOL], tool_choice=choice)
    assert len(_writer().answer(request, 999).choices[0].calls) == calls


def test_tool_calls_never_pass_the_allowance() -> None:
    (choice,) = _writer(tool_calls=3).answer(_request(tools=[TOOL]), 8).choices
    assert (choice.tokens, choice.finish_reason) == (8, "length")


def test_schema_is_answered_with_a_valid_instance() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    (choice,) = _writer().answer(_request(response_format=wanted), 99).choices
    assert orjson.loads(choice.text or "") == {"n": 0}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 9, "maxLength": 12},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "minimum": 3},
        {"type": "integer", "exclusiveMaximum": 0, "multipleOf": 5},
        {"type": "integer", "maximum": -2},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "minimum": -1, "maximum": 1},
        {"type": "number", "minimum": 0.5},
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        {"enum": ["a", 1]},
        {"const": {"a": 1}},
        {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        {"type": ["null", "integer"]},
        {
            "$defs": {
                "P": {
                    "type": "object",
                    "properties": {"x": {"$ref": "#/$defs/Q"}},
                    "required": ["x"],
                },
                "Q": {"enum": [7]},
            },
            "allOf": [
                {"$ref": "#/$defs/P"},
                {"properties": {"y": {"type": "string"}}, "required": ["y"]},
            ],
        },
    ],
)
def test_minimal_instance_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(minimal(schema, filler="some words"), schema)
