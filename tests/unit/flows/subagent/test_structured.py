"""A model is asked for a shape by what it has: it is never sent what its provider refuses."""

from typing import Any

import pytest

from prefect_governor.flows.subagent.structured import answer_by, shaped, told

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
WANTED: dict[str, Any] = {
    "max_tokens": 9,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
}


@pytest.mark.parametrize(
    ("model", "by"),
    [
        ("openai/gpt-4o-mini", "schema"),
        ("gpt-4o-mini", "schema"),
        ("openai/gpt-3.5-turbo", "tool"),
        ("openai/gpt-4", "tool"),
        ("openai/gpt-4-turbo", "tool"),
        # What the map does not know has what its provider has: a gateway's, a deployment's.
        ("openai/our-own-model", "schema"),
        ("azure/our-deployment", "schema"),
        # LiteLLM turns it into what they have.
        ("anthropic/claude-3-haiku-20240307", "schema"),
        ("anthropic/claude-sonnet-4-5", "schema"),
        ("gemini/gemini-2.5-flash", "schema"),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", "schema"),
        ("ollama/llama3", "schema"),
        ("groq/llama-3.3-70b-versatile", "schema"),
    ],
)
def test_what_a_model_has(model: str, by: str) -> None:
    assert answer_by(model) == by


def test_a_tool_gives_the_answer_where_a_schema_cannot() -> None:
    options = shaped("openai/gpt-3.5-turbo", WANTED)
    assert "response_format" not in options
    assert options["tools"][0]["function"]["parameters"] == SCHEMA
    assert options["tool_choice"]["function"]["name"] == "answer"
    assert told((("1", "answer", '{"a": "x"}'),), options) == '{"a": "x"}'
    assert told((), options) is None


def test_tools_of_its_own_are_left_alone() -> None:
    tools = [{"type": "function", "function": {"name": "read"}}]
    options = shaped("openai/gpt-3.5-turbo", {**WANTED, "tools": tools})
    assert options == {"max_tokens": 9, "tools": tools}
    assert told((("1", "read", "{}"),), options) is None


def test_a_list_is_asked_for_in_words() -> None:
    wanted = {
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}
    }
    assert shaped("openai/gpt-3.5-turbo", wanted) == {}


def test_what_a_model_has_is_sent_as_it_was() -> None:
    assert shaped("openai/gpt-4o-mini", WANTED) is WANTED
    assert shaped("openai/gpt-3.5-turbo", {"max_tokens": 9}) == {"max_tokens": 9}
