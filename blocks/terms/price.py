"""The price of a model, as people write it."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from prefect_governor.blocks.money.usd import EXACT, plain_number
from prefect_governor.blocks.prices.prices import MILLION
from prefect_governor.blocks.prices.tariffs import Price, Rates, Tariff
from prefect_governor.blocks.terms.form import plain


def _rate(value: Any) -> Any:
    """A rate as it is written: 0.15 is meant as 0.15."""
    if value is None or isinstance(value, bool):
        return value
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if not rate.is_finite() or rate < 0:
        raise ValueError(f"must be finite and not negative, not {value!r}")
    return rate


PerMillion = Annotated[
    Decimal | str | int | float,
    BeforeValidator(_rate),
    PlainSerializer(plain_number, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0}),
]


def _per_token(per_million: Decimal | str | int | float) -> Decimal:
    return EXACT.divide(Decimal(per_million), MILLION)


class PriceOverride(BaseModel):
    """A price that a person gives, in USD per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd_per_million_tokens: PerMillion = Field(title="Input, USD per million tokens")
    output_usd_per_million_tokens: PerMillion = Field(title="Output, USD per million tokens")
    cached_input_usd_per_million_tokens: PerMillion | None = Field(
        default=None, title="Cached input, USD per million tokens", json_schema_extra=plain
    )

    def price(self, base: Price | None = None) -> Price:
        """As a Price: one tariff for every context length and service tier.

        What else is known of the model (its context, its longest output) is kept from `base`.
        """
        cached = self.cached_input_usd_per_million_tokens
        rates = Rates(
            input=_per_token(self.input_usd_per_million_tokens),
            output=_per_token(self.output_usd_per_million_tokens),
            cached_input=None if cached is None else _per_token(cached),
        )
        return Price(
            standard=Tariff(rates),
            provider=base.provider if base else None,
            context_tokens=base.context_tokens if base else None,
            max_output_tokens=base.max_output_tokens if base else None,
            mode=base.mode if base else None,
        )
