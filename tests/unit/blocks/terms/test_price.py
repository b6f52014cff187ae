"""A price as people write it: what is no price, or two at once, is a clear line."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from prefect_governor import ConfigurationError, Governor
from prefect_governor.blocks.terms.model import ModelTerms
from prefect_governor.blocks.terms.price import PriceOverride, parse_prices

IN, OUT = "input_usd_per_million_tokens", "output_usd_per_million_tokens"
ONE = {IN: 1, OUT: 4}

# What is wrong, and what the line says of it.
WRONG: list[tuple[Any, str]] = [
    ({IN: -1, OUT: 4}, "not negative"),
    ({IN: 1, OUT: -4}, "not negative"),
    ({IN: 0, OUT: 0}, "'free'"),
    ({IN: 1, OUT: 0}, "'free'"),
    ({IN: "NaN", OUT: 4}, "finite"),
    ({IN: "Infinity", OUT: 4}, "finite"),
    ({IN: "cheap", OUT: 4}, "not a number"),
    ({OUT: 4}, f"give {IN}"),
    ({}, f"give {IN}"),
    ("cheap", "'free'"),
    (7, "dictionary"),
    ({**ONE, "input_usd_per_token": 1}, "not permitted"),
    ({**ONE, "free": True}, "free and costs something"),
    ({"free": True, "usd_per_request": 1}, "free and costs something"),
    ({**ONE, "cached_input_usd_per_million_tokens": 2}, "cached input costs more"),
    ({**ONE, "cached_input_usd_per_million_tokens": 0}, "'free'"),
    (
        {**ONE, "cache_write_usd_per_million_tokens": 3,
         "cache_write_1h_usd_per_million_tokens": 2},
        "for an hour costs less",
    ),
    ({**ONE, "usd_per_request": -1}, "not negative"),
    ({**ONE, "context_tiers": [{"above_input_tokens": 0, **ONE}]}, "above_input_tokens"),
    ({**ONE, "context_tiers": [{"above_input_tokens": 9, IN: 2}]}, OUT),
    ({**ONE, "context_tiers": 2 * [{"above_input_tokens": 9, **ONE}]}, "two prices for 9"),
    ({**ONE, "service_tiers": 2 * [{"name": "fast", **ONE}]}, "two prices for fast"),
    ({**ONE, "service_tiers": [{"name": "default", **ONE}]}, "what the price itself is for"),
]  # fmt: skip


@pytest.mark.parametrize(("price", "said"), WRONG)
def test_price_that_is_none_is_refused_with_the_models_name_and_what_is_wrong(
    price: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_prices({"openai/mine": price})
    assert "openai/mine" in str(refused.value)
    assert said in str(refused.value)
    with pytest.raises(ConfigurationError, match=r"openai/mine"):
        Governor.local("x", max_usd=1, prices={"openai/mine": price})
    with pytest.raises(ValidationError, match="prices"):
        Governor.model_validate({"budget": {"max_usd": 1}, "prices": {"openai/mine": price}})
    if price == {}:
        # What the form leaves empty.
        return
    with pytest.raises(ValidationError, match="price"):
        ModelTerms.model_validate({"name": "openai/mine", "price": price})


@pytest.mark.parametrize("prices", ["cheap", 7, ["free"], {"": "free"}])
def test_prices_that_are_none_are_refused_in_a_line(prices: Any) -> None:
    with pytest.raises(ConfigurationError, match="prices are not valid"):
        parse_prices(prices)


def test_prices_of_a_governor_survive_its_document() -> None:
    prices: Any = {
        "openai/mine": {
            **ONE,
            "cache_write_1h_usd_per_million_tokens": "0.07",
            "context_tiers": [{"above_input_tokens": 1000, **ONE}],
            "service_tiers": [],
        },
        "lm_studio/*": "free",
    }
    governor = Governor.local("x", max_usd=1, prices=prices)
    written = json.loads(governor.model_dump_json())
    again = Governor.model_validate(written)
    assert again.prices == governor.prices
    assert again.prices["openai/mine"].given() == parse_prices(prices)["openai/mine"]
    assert again.prices["lm_studio/*"] == PriceOverride(free=True)
    assert Governor.local("x", max_usd=1, prices="free").prices == {"*": PriceOverride(free=True)}


def test_a_model_that_writes_nothing_needs_no_price_of_it() -> None:
    price = parse_prices({"mine": {IN: 1}})["mine"].price()
    assert price.output == 0
    assert price.mode == "embedding"


def test_a_models_block_takes_the_one_word_too() -> None:
    terms = ModelTerms.model_validate({"name": "lm_studio/mine", "price": "free"})
    assert terms.price == PriceOverride(free=True)
