"""A price that a person gives: what it names, and what is taken for what it leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from prefect_governor.blocks.errors import NotPriced
from prefect_governor.blocks.money.usd import EXACT
from prefect_governor.blocks.prices import deployments
from prefect_governor.blocks.prices.prices import load_price, why_unpriced
from prefect_governor.blocks.prices.tariffs import ZERO, Price, Rates, Tariff

# What is left out costs so many times the price that is named, as at the provider that takes the
# most (LiteLLM's list of the lock file, see the test); for a model that is on the list, as many
# times as the list says of it.
CACHE_WRITE = Fraction(8, 5)
CACHE_WRITE_LONG = Fraction(5, 2)
# Above so many input tokens: the factor of the input, and of the output.
CONTEXT = (
    (32_000, Fraction(10, 3), Fraction(10, 3)),
    (100_000, Fraction(5), Fraction(5)),
    (256_000, Fraction(20, 3), Fraction(12)),
)
SERVICE = {
    "flex": Fraction(1),
    "balanced": Fraction(1),
    "decisions": Fraction(1),
    "us": Fraction(11, 10),
    "priority": Fraction(5, 2),
    "ultrafast": Fraction(6),
}

_UP = Context(prec=60, rounding=ROUND_CEILING)
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Step:
    """What a context tier or a service tier costs: USD a token."""

    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Given:
    """USD a token; None for what is not named. `output` is None for a model that writes nothing.

    `context` holds tiers by the input tokens above which they apply, `service` those by name: an
    empty one says that there are none. `free` says that all of it costs nothing. `base_model` is
    the model behind a deployment's name: without an input of its own it costs what the list says
    of that.
    """

    input: Decimal = ZERO
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_long: Decimal | None = None
    request_fee: Decimal = ZERO
    context: tuple[tuple[int, Step], ...] | None = None
    service: tuple[tuple[str, Step], ...] | None = None
    free: bool = False
    base_model: str | None = None

    def price(self, base: Price | None = None) -> Price:
        """As a Price; `base` is what LiteLLM's list says of the model, whose multiples are then
        those of what is not named, and whose context and longest output are kept."""
        standard = Tariff(Rates(ZERO, ZERO)) if self.free else self._standard(base)
        embeds = self.output is None and not self.free
        return Price(
            standard=standard,
            service={} if self.free else self._service(standard, base),
            request_fee=self.request_fee,
            provider=base.provider if base else None,
            context_tokens=base.context_tokens if base else None,
            max_output_tokens=base.max_output_tokens if base else None,
            mode="embedding" if embeds else base.mode if base else None,
        )

    def _standard(self, base: Price | None) -> Tariff:
        known = base.standard.rates if base else None
        written = CACHE_WRITE if known is None else _times(known.written, known.input)
        long = CACHE_WRITE_LONG if known is None else _times(known.written_long, known.input)
        write = self.cache_write or _scaled(self.input, written)
        rates = Rates(
            input=self.input,
            output=self.output or ZERO,
            cached_input=self.cached_input,
            cache_write=write,
            reasoning_output=(
                None
                if known is None or known.reasoning_output is None
                else _scaled(
                    self.output or ZERO, max(_ONE, _times(known.reasoning_output, known.output))
                )
            ),
            cache_write_long=max(write, self.cache_write_long or _scaled(self.input, long)),
        )
        if self.context is not None:
            factors = [
                (above, _times(step.input, self.input), _times(step.output, self.output))
                for above, step in self.context
            ]
        elif base is None or known is None:
            factors = list(CONTEXT)
        else:
            factors = [
                (above, _times(tier.input, known.input), _times(tier.output, known.output))
                for above, tier in base.standard.above
            ]
        return Tariff(
            rates,
            tuple((above, _rates_at(rates, inputs, outputs)) for above, inputs, outputs in factors),
        )

    def _service(self, standard: Tariff, base: Price | None) -> Mapping[str, Tariff]:
        if self.service is not None:
            factors = {
                name: (_times(step.input, self.input), _times(step.output, self.output))
                for name, step in self.service
            }
        elif base is None:
            factors = {name: (factor, factor) for name, factor in SERVICE.items()}
        else:
            factors = {name: _dearest(tier, base.standard) for name, tier in base.service.items()}
        return {
            name: Tariff(
                _rates_at(standard.rates, *factor),
                tuple((above, _rates_at(rates, *factor)) for above, rates in standard.above),
            )
            for name, factor in factors.items()
        }


@lru_cache(maxsize=1024)
def price_by(given: Given, model: str) -> Price:
    """A price that a person gives, as that of a model. Raises NotPriced where it is what the list
    says of another, and the list says nothing."""
    if given.base_model is None:
        return given.price(load_price(model))
    base_model = given.base_model
    if model.startswith(f"{deployments.PROVIDER}/"):
        base_model = deployments.qualified(base_model)
    base = load_price(base_model)
    if given.input or given.free:
        return replace(given.price(base), base_model=base_model)
    if base is None:
        raise NotPriced(
            f"{why_unpriced(base_model)}, which is the base_model of {model!r}; so it was not"
            " called. Name it as LiteLLM's list does, such as 'azure/gpt-4o-mini'"
        )
    standard = base.standard if given.context is None else Tariff(base.standard.rates)
    service = base.service if given.service is None else {}
    return replace(base, standard=standard, service=service, base_model=base_model)


def _times(rate: Decimal, base: Decimal | None) -> Fraction:
    """How many times `base` a rate is."""
    return Fraction(rate) / Fraction(base) if base else _ONE


def _scaled(rate: Decimal, factor: Fraction) -> Decimal:
    """So many times a rate; what has no end as a decimal is rounded up."""
    return _UP.divide(EXACT.multiply(rate, Decimal(factor.numerator)), Decimal(factor.denominator))


def _rates_at(rates: Rates, inputs: Fraction, outputs: Fraction) -> Rates:
    def times(rate: Decimal | None, factor: Fraction) -> Decimal | None:
        return None if rate is None else _scaled(rate, factor)

    return Rates(
        input=_scaled(rates.input, inputs),
        output=_scaled(rates.output, outputs),
        cached_input=times(rates.cached_input, inputs),
        cache_write=times(rates.cache_write, inputs),
        reasoning_output=times(rates.reasoning_output, outputs),
        cache_write_long=times(rates.cache_write_long, inputs),
    )


def _dearest(tier: Tariff, standard: Tariff) -> tuple[Fraction, Fraction]:
    """How many times the standard tariff another one is at most, in what is read and in what is
    written by the model."""
    at = [0, *(above + 1 for above, _ in (*standard.above, *tier.above))]
    pairs = [(tier.at(tokens), standard.at(tokens)) for tokens in at]
    return (
        max(
            _times(getattr(one, part), getattr(other, part))
            for one, other in pairs
            for part in ("input", "written", "written_long")
        ),
        max(
            _times(getattr(one, part), getattr(other, part))
            for one, other in pairs
            for part in ("output", "reasoning")
        ),
    )
