"""Prices that several tests reckon with: LiteLLM's of a model, and one that a person has set."""

from decimal import Decimal

from prefect_governor.blocks.prices.prices import Price, load_price
from prefect_governor.blocks.terms.price import PriceOverride

# 150 nano-dollars a token of input, 600 one of output.
PRICE = PriceOverride(
    input_usd_per_million_tokens=Decimal("0.15"), output_usd_per_million_tokens=Decimal("0.6")
).price()


def priced(model: str) -> Price:
    """What LiteLLM's list says of a model that is on it."""
    price = load_price(model)
    assert price is not None
    return price
