"""What a model's calls cost, exactly: Decimals in USD a token, summed and rounded up once.

The prices are those that LiteLLM ships, read from its file without importing it (which takes
seconds), as decimal text and never as floats.
"""

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect_governor.blocks.budget.money import EXACT, round_up
from pydantic import BaseModel, ConfigDict, Field

MILLION = Decimal(10**6)
ZERO = Decimal(0)
PRICE_FILE = "model_prices_and_context_window_backup.json"

# Service tiers that cost what the standard one costs, as OpenAI names them in a reply.
STANDARD_TIERS = frozenset({"default", "standard", "scale"})
# Names of service tiers in the price file's keys. Batches are another path, which no dialect takes.
_SERVICES = ("flex", "priority", "balanced", "ultrafast", "decisions")
_PARTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "input_cost_per_token_cache_hit": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_long",
    "output_cost_per_reasoning_token": "reasoning_output",
}
_KEY = re.compile(rf"^({'|'.join(_PARTS)})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(_SERVICES)}))?$")
# Charges that tokens do not bound and that every call of such a model may cause.
_UNSOUND = ("citation_cost_per_token", "input_cost_per_query")
_SEARCHES_ALWAYS = re.compile(r"(^|[-/])(sonar|search|deep-research)($|-)")


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token. `None` where the price names none: cached input then costs what input does."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning_output: Decimal | None = None

    @property
    def cached(self) -> Decimal:
        return self.input if self.cached_input is None else self.cached_input

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

    def up_to(self, input_tokens: int) -> Rates:
        """The dearest that a request of at most so many input tokens can be billed at."""
        found = self.rates
        for threshold, rates in self.above:
            if input_tokens > threshold:
                found = found.dearest(rates)
        return found


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price. `service` holds the tariffs of the service tiers that it names."""

    standard: Tariff
    service: Mapping[str, Tariff] = field(default_factory=dict)
    request_fee: Decimal = ZERO
    provider: str | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    mode: str | None = None

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
    reasoning tokens of `output_tokens`."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class PriceOverride(BaseModel):
    """A price that a person gives, in USD per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd_per_million_tokens: Decimal = Field(ge=0, allow_inf_nan=False)
    output_usd_per_million_tokens: Decimal = Field(ge=0, allow_inf_nan=False)
    cached_input_usd_per_million_tokens: Decimal | None = Field(
        default=None, ge=0, allow_inf_nan=False
    )

    def price(self, base: Price | None = None) -> Price:
        """As a Price: one tariff for every context length and service tier.

        What else is known of the model (its context, its longest output) is kept from `base`.
        """
        cached = self.cached_input_usd_per_million_tokens
        rates = Rates(
            input=EXACT.divide(self.input_usd_per_million_tokens, MILLION),
            output=EXACT.divide(self.output_usd_per_million_tokens, MILLION),
            cached_input=None if cached is None else EXACT.divide(cached, MILLION),
        )
        return Price(
            standard=Tariff(rates),
            provider=base.provider if base else None,
            context_tokens=base.context_tokens if base else None,
            max_output_tokens=base.max_output_tokens if base else None,
            mode=base.mode if base else None,
        )


def cost_usd(price: Price, usage: UsageParts, *, service_tier: str | None = "default") -> Decimal:
    """The exact cost of a call in USD.

    The billed input tokens choose the context tier. Where the service tier leaves several tariffs
    open, the dearest total is taken: what was spent is never understated.
    """
    return max(
        _sum(tariff.at(usage.input_tokens), usage, price.request_fee)
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
) -> int:
    """The most, in nano-dollars, that a call of at most so many tokens can cost.

    The dearest of every context tier that the input can reach, of every tariff that the service
    tier leaves open, of input that is fresh, cached or (`cache_writes`) written to a cache.
    """
    highest = ZERO
    for tariff in price.tariffs(service_tier):
        rates = tariff.up_to(input_tokens)
        inputs = [rates.input, rates.cached]
        if cache_writes and rates.cache_write is not None:
            inputs.append(rates.cache_write)
        total = EXACT.add(
            EXACT.multiply(Decimal(input_tokens), max(inputs)),
            EXACT.multiply(Decimal(output_tokens), max(rates.output, rates.reasoning)),
        )
        highest = max(highest, EXACT.add(total, price.request_fee))
    return round_up(highest)


def load_price(model: str) -> Price | None:
    """The price that LiteLLM ships for a model, named as LiteLLM names it: `provider/model`, or
    the model alone. None where there is none, or where tokens do not bound what a call costs."""
    return _load(model)


@lru_cache(maxsize=1024)
def _load(model: str) -> Price | None:
    entries = _entries()
    for name, provider in _names(model):
        entry = entries.get(name)
        if entry is not None and provider in (None, entry.get("litellm_provider")):
            return _parse(name, entry)
    return None


def _names(model: str) -> Iterable[tuple[str, str | None]]:
    """Where a model's entry may stand, and the provider that it must then have."""
    yield model, None
    provider, slash, bare = model.partition("/")
    if slash:
        yield bare, provider
    if bare.startswith("ft:") or model.startswith("ft:"):
        # ft:<base>:<organisation>:<name>:<id> is priced as ft:<base>.
        tuned = bare if slash else model
        yield ":".join(tuned.split(":")[:2]), provider if slash else None


@lru_cache(maxsize=1)
def _entries() -> Mapping[str, Mapping[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    text = (Path(spec.origin).parent / PRICE_FILE).read_text(encoding="utf-8")
    entries: dict[str, Mapping[str, Any]] = json.loads(text, parse_float=Decimal)
    entries.pop("sample_spec", None)
    return entries


def _parse(name: str, entry: Mapping[str, Any]) -> Price | None:
    provider = entry.get("litellm_provider")
    searches = "search_context_cost_per_query" in entry and (
        provider == "perplexity" or _SEARCHES_ALWAYS.search(name) is not None
    )
    if searches or any(key in entry for key in _UNSOUND):
        return None
    tariffs = _tariffs(entry)
    standard = tariffs.pop("", None)
    if standard is None:
        return None
    fee = _amount(entry.get("input_cost_per_request", 0))
    if fee is None:
        return None
    return Price(
        standard=standard,
        service=tariffs,
        request_fee=fee,
        provider=provider,
        context_tokens=_count(entry.get("max_input_tokens") or entry.get("max_tokens")),
        max_output_tokens=_count(entry.get("max_output_tokens") or entry.get("max_tokens")),
        mode=entry.get("mode"),
    )


def _tariffs(entry: Mapping[str, Any]) -> dict[str, Tariff]:
    """The tariffs of an entry by service tier ("" is the standard one)."""
    if isinstance(entry.get("tiered_pricing"), list):
        ranged = _ranged(entry["tiered_pricing"])
        return {"": ranged} if ranged is not None else {}
    found: dict[tuple[str, int], dict[str, Decimal]] = {}
    for key, value in entry.items():
        match = _KEY.match(key)
        amount = _amount(value) if match else None
        if match is None or amount is None:
            continue
        part, thousands, service = _PARTS[match[1]], int(match[2] or 0), match[3] or ""
        rates = found.setdefault((service, thousands * 1000), {})
        if part == "cache_write_long":
            # Written for an hour instead of minutes: the reply does not always tell which.
            part = "cache_write"
            amount = max(amount, rates.get(part, ZERO))
        elif part == "cache_write":
            amount = max(amount, rates.get(part, ZERO))
        rates[part] = amount
    base = _rates(found.get(("", 0), {}), None)
    if base is None:
        return {}
    standard = Tariff(base, _above("", found, base))
    tariffs = {"": standard}
    for service in {service for service, _ in found if service}:
        own = _rates(found.get((service, 0), {}), base)
        if own is not None:
            above = dict(standard.above)
            above = {each: own.dearest(rates) for each, rates in above.items()}
            above |= dict(_above(service, found, own))
            tariffs[service] = Tariff(own, tuple(sorted(above.items())))
    return tariffs


def _above(
    service: str, found: Mapping[tuple[str, int], Mapping[str, Decimal]], base: Rates
) -> tuple[tuple[int, Rates], ...]:
    tiers = []
    for (name, threshold), parts in sorted(found.items()):
        rates = _rates(parts, base) if name == service and threshold else None
        if rates is not None:
            tiers.append((threshold, rates))
    return tuple(tiers)


def _rates(parts: Mapping[str, Decimal], base: Rates | None) -> Rates | None:
    """The parts as rates; what a dearer tier leaves out costs at least what it costs below it.

    A cache whose reads a tier does not price costs what its input costs.
    """
    if base is None and not {"input", "output"} <= parts.keys():
        return None
    fresh = parts["input"] if base is None else parts.get("input", base.input)
    return Rates(
        input=fresh,
        output=parts["output"] if base is None else parts.get("output", base.output),
        cached_input=parts.get("cached_input"),
        cache_write=parts.get("cache_write", base.cache_write if base else None),
        reasoning_output=parts.get("reasoning_output", base.reasoning_output if base else None),
    )


def _ranged(ranges: list[Any]) -> Tariff | None:
    """`tiered_pricing`: a list of rates, each for a range of input tokens."""
    tiers: list[tuple[int, Rates]] = []
    for each in ranges:
        if not isinstance(each, dict) or not isinstance(each.get("range"), list):
            return None
        parts = {
            _PARTS[key]: amount
            for key, value in each.items()
            if key in _PARTS and (amount := _amount(value)) is not None
        }
        rates = _rates(parts, None)
        if rates is None:
            return None
        tiers.append((int(each["range"][0]), rates))
    tiers.sort(key=lambda tier: tier[0])
    if not tiers or tiers[0][0] != 0:
        return None
    return Tariff(tiers[0][1], tuple(tiers[1:]))


def _sum(rates: Rates, usage: UsageParts, fee: Decimal) -> Decimal:
    written = rates.input if rates.cache_write is None else rates.cache_write
    fresh = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    total = fee
    for tokens, rate in (
        (fresh, rates.input),
        (usage.cached_input_tokens, rates.cached),
        (usage.cache_write_tokens, max(written, rates.input)),
        (usage.output_tokens - usage.reasoning_tokens, rates.output),
        (usage.reasoning_tokens, rates.reasoning),
    ):
        total = EXACT.add(total, EXACT.multiply(Decimal(tokens), rate))
    return total


def _highest(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount >= 0 else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        return None
    return int(value)
