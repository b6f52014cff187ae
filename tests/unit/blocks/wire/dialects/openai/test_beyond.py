"""Thoughts that the request's own limit does not hold are bounded beside it, and are not fitted."""

from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects.openai.beyond import beyond_tokens
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import CallRequest, Dialect
from tests.unit.prices import priced

TURBO = priced("dashscope/qwen-turbo")
WINDOW = 129_024
ASKED: list[tuple[Dialect, dict[str, Any]]] = [
    (OpenAIChat(), {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}),
    (OpenAIResponses(), {"input": "hi", "max_output_tokens": 100}),
]


@pytest.mark.parametrize(("dialect", "fields"), ASKED, ids=["chat", "responses"])
def test_thoughts_of_qwen_are_within_the_bound_though_its_limit_holds_the_answer_alone(
    dialect: Dialect, fields: dict[str, Any]
) -> None:
    asked = CallRequest("qwen-turbo", {"model": "qwen-turbo", **fields}, provider="dashscope")
    plan = dialect.plan(asked, price=TURBO, encoding=None)
    assert plan.output_tokens == 100 + WINDOW
    assert (plan.output_limit, plan.least_output_tokens) == (None, None), "it cannot be fitted"
    elsewhere = dialect.plan(replace(asked, provider="groq"), price=TURBO, encoding=None)
    assert (elsewhere.output_tokens, elsewhere.output_limit) == (100, 100)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, WINDOW),
        ({"enable_thinking": True}, WINDOW),
        ({"enable_thinking": False}, 0),
        ({"enable_thinking": False, "thinking_budget": 500}, 0),
        ({"thinking_budget": 500}, 500),
    ],
)
def test_thoughts_are_as_long_as_their_budget_or_the_window(
    fields: dict[str, Any], tokens: int
) -> None:
    assert beyond_tokens(fields, TURBO, "qwen-turbo", provider="dashscope") == tokens


@pytest.mark.parametrize(
    ("fields", "price"),
    [({}, replace(TURBO, context_tokens=None)), ({"thinking_budget": 0}, TURBO)],
)
def test_thoughts_without_a_bound_are_refused_by_the_fields_name(
    fields: dict[str, Any], price: Price
) -> None:
    with pytest.raises(NotBounded, match="thinking_budget"):
        beyond_tokens(fields, price, "qwen-turbo", provider="dashscope")
