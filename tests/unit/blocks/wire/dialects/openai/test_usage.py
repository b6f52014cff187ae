"""How long a cache is kept: written for hours it costs twice what it does for minutes, from gpt-5.6
on (developers.openai.com/api/docs/guides/prompt-caching)."""

import json
from typing import Any

import pytest

from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.dialects.openai.usage import keeps_for_hours
from prefect_governor.blocks.wire.requests.plans import Dialect

MODEL = "gpt-5.6"
TEXT = [{"role": "user", "content": "hello"}]
CHAT = {"model": MODEL, "messages": TEXT, "max_tokens": 10}
RESPONSE = {"model": MODEL, "input": "hello", "max_output_tokens": 10}


def priced() -> Price:
    price = load_price(MODEL)
    assert price is not None and price.standard.rates.cache_write_long is not None
    assert price.standard.rates.cache_write_long == 2 * price.standard.rates.written
    return price


def reply_of(name: str, written: int, kept: dict[str, int] | None) -> bytes:
    """A reply of either API, one token of its input fresh and the others written to a cache."""
    details = {"cache_write_tokens": written}
    details |= {"cache_write_tokens_details": kept} if kept is not None else {}  # type: ignore[dict-item]
    chat = name == "prompt"
    usage: dict[str, Any] = {f"{name}_tokens": written + 1, f"{name}_tokens_details": details}
    usage["completion_tokens" if chat else "output_tokens"] = 1
    return json.dumps({"usage": usage, "service_tier": "default"}).encode()


@pytest.mark.parametrize(
    ("dialect", "fields", "name"),
    [(OpenAIChat(), CHAT, "prompt"), (OpenAIResponses(), RESPONSE, "input")],
    ids=["chat", "responses"],
)
@pytest.mark.parametrize(
    ("asked", "kept", "short", "long"),
    [
        ({}, None, 100, 0),
        ({}, {"ttl_30m_tokens": 100}, 100, 0),
        ({}, {"ttl_30m_tokens": 60, "ttl_12h_tokens": 40}, 60, 40),
        ({"prompt_cache_options": {"ttl": "30m"}}, None, 100, 0),
        ({"prompt_cache_options": {"ttl": "12h"}}, None, 0, 100),
        ({"prompt_cache_options": {"ttl": "12h"}}, {"ttl_12h_tokens": 30}, 70, 30),
        ({"prompt_cache_options": {"ttl": "12h"}}, {"ttl_30m_tokens": 500}, 100, 0),
        ({"prompt_cache_retention": "24h"}, None, 0, 100),
        ({"prompt_cache_retention": "in_memory"}, None, 100, 0),
    ],
)
def test_cache_that_is_kept_for_hours_is_settled_and_bounded_at_its_own_price(
    dialect: Dialect,
    fields: dict[str, Any],
    name: str,
    asked: dict[str, Any],
    kept: dict[str, int] | None,
    short: int,
    long: int,
) -> None:
    price, body = priced(), json.dumps({**fields, "service_tier": "default", **asked}).encode()
    request = dialect.open(body)
    plan = dialect.plan(request, price=price, encoding=None)
    billed = dialect.read(reply_of(name, short + long, kept))
    assert billed is not None
    rates = price.standard.rates
    nano = 10**9 * (rates.input + rates.output + short * rates.written + long * rates.written_long)
    assert billed.usage(price, plan).nano == nano
    hours = bool(asked) and "30m" not in str(asked) and "memory" not in str(asked)
    each = rates.written_long if hours else rates.written
    assert plan.bound(price).nano == 10**9 * (plan.input_tokens * each + 10 * rates.output)


def test_a_part_that_says_how_long_is_taken_at_the_dearer_and_a_text_that_says_so_is_none() -> None:
    part = {"type": "text", "text": 'the "ttl"', "prompt_cache_breakpoint": {"ttl": "12h"}}
    said = json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode()
    assert keeps_for_hours({}, said, "openai")
    assert not keeps_for_hours({}, json.dumps({"messages": 'the "ttl" is'}).encode(), "openai")
    assert keeps_for_hours({}, b"{}", "openrouter")
