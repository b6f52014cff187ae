"""What a call costs under a price: exact Decimals in USD a token, summed and rounded up once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from prefect_governor.blocks.money.usd import EXACT, round_up

T = TypeVar("T")

ZERO = Decimal(0)
# The mode of what ranks documents, by the list's names.
RERANK = "rerank"

# Service tiers that cost what the standard one costs, as OpenAI and Groq name them in a reply.
STANDARD_TIERS = frozenset({"default", "standard", "scale", "on_demand"})


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token. `None` where the price names none: cached input then costs what input does,
    and what is written to a cache for hours what is written for minutes."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning_output: Decimal | None = None
    cache_write_long: Decimal | None = None

    @property
    def cached(self) -> Decimal:
        return self.input if self.cached_input is None else self.cached_input

    @property
    def written(self) -> Decimal:
        return self.input if self.cache_write is None else max(self.cache_write, self.input)

    @property
    def written_long(self) -> Decimal:
        return max(self.cache_write_long or self.written, self.written)

    @property
    def reasoning(self) -> Decimal:
        return self.output if self.reasoning_output is None else self.reasoning_output

    def dearest(self, other: "Rates") -> "Rates":
        """The dearer of both, part by part."""
        return Rates(
            input=max(self.input, other.input),
            output=max(self.output, other.output),
            cached_input=max(self.cached, other.cached),
            cache_write=_highest(self.cache_write, other.cache_write),
            reasoning_output=max(self.reasoning, other.reasoning),
            cache_write_long=_highest(self.cache_write_long, other.cache_write_long),
        )

    def times(self, factor: Decimal) -> "Rates":
        """Every rate multiplied."""

        def scaled(rate: Decimal | None) -> Decimal | None:
            return None if rate is None else EXACT.multiply(rate, factor)

        return Rates(
            input=EXACT.multiply(self.input, factor),
            output=EXACT.multiply(self.output, factor),
            cached_input=scaled(self.cached_input),
            cache_write=scaled(self.cache_write),
            reasoning_output=scaled(self.reasoning_output),
            cache_write_long=scaled(self.cache_write_long),
        )


@dataclass(frozen=True, slots=True)
class Tariff:
    """Rates, and others for requests whose input tokens exceed a threshold (ascending)."""

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()

    def at(self, input_tokens: int) -> Rates:
        """What a request of so many input tokens is billed at."""
        found = self.rates
        for threshold, rates in self.above:
            if input_tokens > threshold:
                found = rates
        return found

    def times(self, factor: Decimal) -> "Tariff":
        """Every rate multiplied."""
        above = tuple((threshold, rates.times(factor)) for threshold, rates in self.above)
        return Tariff(self.rates.times(factor), above)

    def dearest(self, other: "Tariff") -> "Tariff":
        """The dearer of both for every request, part by part."""
        thresholds = sorted({threshold for threshold, _ in (*self.above, *other.above)})
        above = tuple((each, self.at(each + 1).dearest(other.at(each + 1))) for each in thresholds)
        return Tariff(self.rates.dearest(other.rates), above)

    def up_to(self, input_tokens: int) -> Rates:
        """The dearest that a request of at most so many input tokens can be billed at."""
        found = self.rates
        for threshold, rates in self.above:
            if input_tokens > threshold:
                found = found.dearest(rates)
        return found


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price. `service` holds the tariffs of the service tiers that it names; `places`
    what the price is multiplied by where a call is served, see `places`."""

    standard: Tariff
    service: Mapping[str, Tariff] = field(default_factory=dict)
    request_fee: Decimal = ZERO
    provider: str | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    mode: str | None = None
    places: Mapping[str, Decimal] = field(default_factory=dict)
    # USD for one search that the provider makes, the dearest of its sizes, or for one ranking; None
    # where nobody knows.
    search_fee: Decimal | None = None
    # USD for a token of audio or video as input where it has a price of its own: at the standard
    # tier, and the dearest of all tiers. `audio_key` is what of it tokens do not bound.
    audio_input: tuple[Decimal, Decimal] | None = None
    audio_key: str | None = None
    # The model behind a deployment's name; `by_list`: the price is what the list says of it, so
    # that a reply which names the model says more.
    base_model: str | None = None
    by_list: bool = False
    # USD for a token of an image that the model writes, at the standard tier; None where it writes
    # none, or nobody knows what one costs.
    image_output: Decimal | None = None

    def at(self, factor: Decimal) -> "Price":
        """The price where a call costs so many times as much."""
        if factor == 1:
            return self
        service = {name: tariff.times(factor) for name, tariff in self.service.items()}
        audio = self.audio_input
        if audio is not None:
            audio = EXACT.multiply(audio[0], factor), EXACT.multiply(audio[1], factor)
        image = self.image_output
        return replace(
            self,
            standard=self.standard.times(factor),
            service=service,
            places={},
            audio_input=audio,
            image_output=None if image is None else EXACT.multiply(image, factor),
        )

    def audio(self, service_tier: str | None) -> Decimal:
        """USD for a token of audio or video as input; 0 where that is what text is."""
        if self.audio_input is None:
            return ZERO
        return self.audio_input[0 if service_tier in STANDARD_TIERS else 1]

    def dearest(self, other: "Price") -> "Price":
        """The dearer of both, for a call that either may answer."""
        names = self.service.keys() | other.service.keys()
        return replace(
            self,
            standard=self.standard.dearest(other.standard),
            service={
                name: self.service.get(name, self.standard).dearest(
                    other.service.get(name, other.standard)
                )
                for name in names
            },
            request_fee=max(self.request_fee, other.request_fee),
            context_tokens=_if_both(max, self.context_tokens, other.context_tokens),
            max_output_tokens=_if_both(min, self.max_output_tokens, other.max_output_tokens),
            search_fee=_if_both(max, self.search_fee, other.search_fee),
            audio_input=_dearest_audio(self, other),
            audio_key=self.audio_key or other.audio_key,
        )

    @property
    def input(self) -> Decimal:
        return self.standard.rates.input

    @property
    def output(self) -> Decimal:
        return self.standard.rates.output

    @property
    def cached_input(self) -> Decimal:
        return self.standard.rates.cached

    @property
    def tiers(self) -> tuple[tuple[int, Rates], ...]:
        return self.standard.above

    def tariffs(self, service_tier: str | None) -> tuple[Tariff, ...]:
        """Those that a reply's (or a request's) service tier may stand for.

        `None`, "auto" and a tier that the price does not name may be any of them.
        """
        if service_tier in STANDARD_TIERS:
            return (self.standard,)
        if service_tier is not None and service_tier in self.service:
            return (self.service[service_tier],)
        return (self.standard, *self.service.values())


@dataclass(frozen=True, slots=True)
class UsageParts:
    """What a reply was billed for. Cached and written tokens are parts of `input_tokens`,
    reasoning tokens of `output_tokens`.

    `cache_write_tokens` are all that were written to a cache, `cache_write_short_tokens` those of
    them that were written for minutes, None where the reply does not say for how long; the others
    are billed as for hours, where that has a price of its own. `audio_tokens` are those of the
    input that are audio or video; `searches` is how many the provider made, each billed by the
    piece; `image_tokens` are those of the output, beside the reasoning, that are images.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_short_tokens: int | None = None
    audio_tokens: int = 0
    searches: int = 0
    image_tokens: int = 0


def cost_usd(price: Price, usage: UsageParts, *, service_tier: str | None = "default") -> Decimal:
    """The exact cost of a call in USD.

    The billed input tokens choose the context tier. Where the service tier leaves several tariffs
    open, the dearest total is taken: what was spent is never understated.
    """
    return max(
        _sum(tariff.at(usage.input_tokens), usage, price, price.audio(service_tier))
        for tariff in price.tariffs(service_tier)
    )


def cost(price: Price, usage: UsageParts, *, service_tier: str | None = "default") -> int:
    """The cost of a call in nano-dollars: `cost_usd`, rounded up once."""
    return round_up(cost_usd(price, usage, service_tier=service_tier))


def bound_cost(
    price: Price,
    input_tokens: int,
    output_tokens: int,
    *,
    service_tier: str | None = "default",
    cache_writes: bool = True,
    long_writes: bool = True,
    audio: bool = False,
    searches: int = 0,
    images: bool = False,
) -> int:
    """The most, in nano-dollars, that a call of at most so many tokens can cost.

    The dearest of every context tier that the input can reach, of every tariff that the service
    tier leaves open, of input that is fresh, cached, (`cache_writes`) written to a cache, for
    minutes or (`long_writes`) for hours, or (`audio`) audio or video, of output that is text,
    thought or (`images`) an image; and the fee of so many `searches`.
    """
    highest = ZERO
    for tariff in price.tariffs(service_tier):
        rates = tariff.up_to(input_tokens)
        inputs = [rates.input, rates.cached]
        if cache_writes:
            inputs.append(rates.written_long if long_writes else rates.written)
        if audio:
            more = EXACT.subtract(price.audio(service_tier), rates.input)
            inputs.append(EXACT.add(max(inputs), max(ZERO, more)))
        outputs = [rates.output, rates.reasoning]
        if images:
            outputs.append(price.image_output or ZERO)
        total = EXACT.add(
            EXACT.multiply(Decimal(input_tokens), max(inputs)),
            EXACT.multiply(Decimal(output_tokens), max(outputs)),
        )
        highest = max(highest, EXACT.add(total, price.request_fee))
    if searches:
        fees = EXACT.multiply(Decimal(searches), price.search_fee or ZERO)
        highest = EXACT.add(highest, fees)
    return round_up(highest)


def _sum(rates: Rates, usage: UsageParts, price: Price, audio: Decimal) -> Decimal:
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    short = usage.cache_write_short_tokens or 0
    total = price.request_fee
    if usage.searches:
        fees = EXACT.multiply(Decimal(usage.searches), price.search_fee or ZERO)
        total = EXACT.add(total, fees)
    if usage.audio_tokens and audio > rates.input:
        more = EXACT.subtract(audio, rates.input)
        total = EXACT.add(total, EXACT.multiply(Decimal(usage.audio_tokens), more))
    if usage.image_tokens and price.image_output is not None and price.image_output > rates.output:
        more = EXACT.subtract(price.image_output, rates.output)
        total = EXACT.add(total, EXACT.multiply(Decimal(usage.image_tokens), more))
    for tokens, rate in (
        (fresh, rates.input),
        (usage.cached_input_tokens, rates.cached),
        (short, rates.written),
        (usage.cache_write_tokens - short, rates.written_long),
        (usage.output_tokens - usage.reasoning_tokens, rates.output),
        (usage.reasoning_tokens, rates.reasoning),
    ):
        total = EXACT.add(total, EXACT.multiply(Decimal(tokens), rate))
    return total


def _if_both(choose: Callable[[T, T], T], one: T | None, other: T | None) -> T | None:
    return None if one is None or other is None else choose(one, other)


def _dearest_audio(one: Price, other: Price) -> tuple[Decimal, Decimal] | None:
    if one.audio_input is None or other.audio_input is None:
        return one.audio_input or other.audio_input
    return (
        max(one.audio_input[0], other.audio_input[0]),
        max(one.audio_input[1], other.audio_input[1]),
    )


def _highest(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None
