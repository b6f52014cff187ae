"""The price of a model, as people write it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import EXACT, plain_number
from prefect_governor.blocks.prices.deployments import qualified
from prefect_governor.blocks.prices.given import Given, Step
from prefect_governor.blocks.prices.prices import MILLION, load_price, why_unpriced
from prefect_governor.blocks.prices.tariffs import STANDARD_TIERS, ZERO, Price
from prefect_governor.blocks.terms.form import empty_is_none, plain

FREE = "free"


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
    if rate == 0:
        raise ValueError("a price of 0 is believed by one word alone: give 'free', or leave it out")
    return rate


PerMillion = Annotated[
    Decimal | str | int | float,
    BeforeValidator(_rate),
    PlainSerializer(plain_number, when_used="json"),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]


def _per_token(per_million: Decimal | str | int | float) -> Decimal:
    return EXACT.divide(Decimal(per_million), MILLION)


def _or_none(per_million: Decimal | str | int | float | None) -> Decimal | None:
    return None if per_million is None else _per_token(per_million)


class ContextTier(BaseModel):
    """What a whole request costs whose input has more than so many tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above_input_tokens: int = Field(
        title="Above input tokens",
        description="Requests with more input than this cost what follows, from their first token.",
        ge=1,
    )
    input_usd_per_million_tokens: PerMillion = Field(
        title="Input, USD per million tokens", description="For all of such a request's input."
    )
    output_usd_per_million_tokens: PerMillion = Field(
        title="Output, USD per million tokens", description="For all of such a request's output."
    )


class ServiceTier(BaseModel):
    """What a request costs under a service tier, by the provider's name of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        title="Name",
        description="As requests write it in service_tier, such as priority.",
        min_length=1,
    )
    input_usd_per_million_tokens: PerMillion = Field(
        title="Input, USD per million tokens", description="Under this tier."
    )
    output_usd_per_million_tokens: PerMillion = Field(
        title="Output, USD per million tokens", description="Under this tier."
    )


class PriceOverride(BaseModel):
    """A price that a person gives, in USD per million tokens; or the word "free".

    What it leaves out is taken at the dearest that is known: as many times the price as LiteLLM's
    list says of the model, or else of any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd_per_million_tokens: PerMillion | None = Field(
        default=None,
        title="Input, USD per million tokens",
        description="Of text that no cache holds.",
        json_schema_extra=plain,
    )
    output_usd_per_million_tokens: PerMillion | None = Field(
        default=None,
        title="Output, USD per million tokens",
        description="Empty only for a model that writes nothing, such as one for embeddings.",
        json_schema_extra=plain,
    )
    free: bool = Field(
        default=False,
        title="Free",
        description="It costs nothing, as on your own machine. Then leave the prices out.",
    )
    base_model: str | None = Field(
        default=None,
        title="Base model",
        description=(
            "The model behind a deployment's name, as LiteLLM's list names it, such as"
            " 'azure/gpt-4o-mini' for an Azure deployment; 'azure/eu/gpt-4o-mini' says where it"
            " processes, 'azure/gpt-4*' that it may be any of these. What is left empty below costs"
            " what the list says of it."
        ),
        json_schema_extra=plain,
    )
    cached_input_usd_per_million_tokens: PerMillion | None = Field(
        default=None,
        title="Cached input, USD per million tokens",
        description="Empty: what input costs.",
        json_schema_extra=plain,
    )
    cache_write_usd_per_million_tokens: PerMillion | None = Field(
        default=None,
        title="Cache write, USD per million tokens",
        description="What is written to a cache for minutes. Empty: the dearest that is known.",
        json_schema_extra=plain,
    )
    cache_write_1h_usd_per_million_tokens: PerMillion | None = Field(
        default=None,
        title="Cache write for an hour, USD per million tokens",
        description="Empty: the dearest that is known.",
        json_schema_extra=plain,
    )
    usd_per_request: PerMillion | None = Field(
        default=None,
        title="USD per request",
        description="What a request costs beside its tokens. Empty: nothing.",
        json_schema_extra=plain,
    )
    context_tiers: tuple[ContextTier, ...] | None = Field(
        default=None,
        title="Context tiers",
        description=(
            "What long requests cost. Empty: the dearest that is known; [] says that they cost the"
            " same."
        ),
        json_schema_extra=plain,
    )
    service_tiers: tuple[ServiceTier, ...] | None = Field(
        default=None,
        title="Service tiers",
        description=(
            "What requests cost under service tiers such as 'priority'. Empty: the dearest that is"
            " known; [] says that there are none."
        ),
        json_schema_extra=plain,
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.strip().lower() != FREE:
                raise ValueError(f"a price is its fields, or the word {FREE!r}, not {value!r}")
            return {"free": True}
        return value

    _empty = field_validator("base_model", mode="before")(empty_is_none)

    @field_validator("base_model")
    @classmethod
    def _known(cls, base_model: str | None) -> str | None:
        if base_model is not None and not any(
            load_price(name) for name in (base_model, qualified(base_model))
        ):
            raise ValueError(
                f"{why_unpriced(base_model)}: name the model behind the deployment as LiteLLM's"
                " list does, such as 'azure/gpt-4o-mini'"
            )
        return base_model

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named = [
            name
            for name in type(self).model_fields
            if name not in ("free", "base_model") and getattr(self, name) not in (None, ())
        ]
        if self.free and named:
            raise ValueError(f"it is free and costs something ({', '.join(named)}): leave one out")
        if self.free:
            return self
        if self.input_usd_per_million_tokens is None:
            if self.base_model is not None and not named:
                return self
            raise ValueError(
                "give input_usd_per_million_tokens and output_usd_per_million_tokens, or the word"
                f" {FREE!r}, or for a deployment its base_model"
            )
        self._check_caches(Decimal(self.input_usd_per_million_tokens))
        above = [tier.above_input_tokens for tier in self.context_tiers or ()]
        names = [tier.name for tier in self.service_tiers or ()]
        for what, values in (("context_tiers", above), ("service_tiers", names)):
            if twice := {str(each) for each in values if values.count(each) > 1}:  # type: ignore[arg-type]
                raise ValueError(f"{what} has two prices for {', '.join(sorted(twice))}")
        if standard := STANDARD_TIERS.intersection(names):
            raise ValueError(
                f"service_tiers: {', '.join(sorted(standard))} is what the price itself is for"
            )
        return self

    def _check_caches(self, fresh: Decimal) -> None:
        cached, short, long = (
            None if value is None else Decimal(value)
            for value in (
                self.cached_input_usd_per_million_tokens,
                self.cache_write_usd_per_million_tokens,
                self.cache_write_1h_usd_per_million_tokens,
            )
        )
        if cached is not None and cached > fresh:
            raise ValueError("cached input costs more than input: one of the two is wrong")
        if short is not None and long is not None and long < short:
            raise ValueError(
                "what is written to a cache for an hour costs less than for minutes: one of the two"
                " is wrong"
            )

    def given(self) -> Given:
        """In USD a token, as the arithmetic has it."""
        context, service = self.context_tiers, self.service_tiers
        return Given(
            input=_or_none(self.input_usd_per_million_tokens) or ZERO,
            output=_or_none(self.output_usd_per_million_tokens),
            cached_input=_or_none(self.cached_input_usd_per_million_tokens),
            cache_write=_or_none(self.cache_write_usd_per_million_tokens),
            cache_write_long=_or_none(self.cache_write_1h_usd_per_million_tokens),
            request_fee=Decimal(self.usd_per_request or 0),
            context=(
                None
                if context is None
                else tuple(sorted((tier.above_input_tokens, _step(tier)) for tier in context))
            ),
            service=None
            if service is None
            else tuple((tier.name, _step(tier)) for tier in service),
            free=self.free,
            base_model=self.base_model,
        )

    def price(self, base: Price | None = None) -> Price:
        """As a Price. What it leaves out, and what else is known of the model (its context, its
        longest output), is as in `base`, LiteLLM's price of it."""
        return self.given().price(base)


def _step(tier: ContextTier | ServiceTier) -> Step:
    return Step(
        _per_token(tier.input_usd_per_million_tokens),
        _per_token(tier.output_usd_per_million_tokens),
    )


Word = Literal["free"]
# What people write: by a model's name, or by a pattern; "free" alone is every model on one's own
# machine and network.
PricesGiven: TypeAlias = Word | Mapping[str, PriceOverride | Mapping[str, Any] | Word]


def is_left_empty(price: Any) -> bool:
    """Whether the form's section of a price was left as it was."""
    return price is None or (
        isinstance(price, Mapping)
        and all(each is None or each is False or each in ("", [], ()) for each in price.values())
    )


def every_model(value: Any) -> Any:
    """The one word in place of prices by name, before they are validated."""
    return {"*": FREE} if isinstance(value, str) and value.strip().lower() == FREE else value


Name = Annotated[str, Field(min_length=1)]
PricesByName = Annotated[dict[Name, PriceOverride], BeforeValidator(every_model)]
_PRICES: TypeAdapter[dict[str, PriceOverride]] = TypeAdapter(PricesByName)


def parse_prices(prices: PricesGiven | None) -> dict[str, Given]:
    """Prices by name, checked. Raises ConfigurationError, which names what is wrong."""
    if prices is None:
        return {}
    try:
        return given_prices(_PRICES.validate_python(prices))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'prices'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"prices are not valid: {wrong}") from None


def given_prices(prices: Mapping[str, PriceOverride]) -> dict[str, Given]:
    """Prices that were checked, as the arithmetic has them."""
    return {name: each.given() for name, each in prices.items()}
