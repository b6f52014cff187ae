"""Prices that several tests reckon with: LiteLLM's of a model, and one that a person has set."""

from decimal import Decimal

from prefect_governor.blocks.prices.prices import Price, load_price
from prefect_governor.blocks.terms.price import PriceOverride


def flat(input: str, output: str) -> PriceOverride:
    """The same for every context and tier, in USD per million tokens: nothing is left out."""
    return PriceOverride(
        input_usd_per_million_tokens=Decimal(input),
        output_usd_per_million_tokens=Decimal(output),
        cache_write_usd_per_million_tokens=Decimal(input),
        cache_write_1h_usd_per_million_tokens=Decimal(input),
        context_tiers=(),
        service_tiers=(),
    )


# 150 nano-dollars a token of input, 600 one of output.
PRICE = flat("0.15", "0.6").price()


def priced(model: str) -> Price:
    """What LiteLLM's list says of a model that is on it."""
    price = load_price(model)
    assert price is not None
    return price
