"""Where prices come from: the file that LiteLLM ships, or a person.

The file is read without importing LiteLLM (which takes seconds), as decimal text and never as
floats. What a call then costs is in `tariffs`.
"""

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect_governor.blocks.prices.tariffs import (
    STANDARD_TIERS,
    Price,
    Rates,
    Tariff,
    UsageParts,
    bound_cost,
    cost,
    cost_usd,
)

__all__ = [
    "OFFLINE",
    "OFFLINE_PRICE",
    "STANDARD_TIERS",
    "Price",
    "Rates",
    "Tariff",
    "UsageParts",
    "bound_cost",
    "cost",
    "cost_usd",
    "load_price",
]

MILLION = Decimal(10**6)
# Providers that are programs on one's own machine.
LOCAL = frozenset({"ollama", "ollama_chat"})
_FREE = Tariff(Rates(input=Decimal(0), output=Decimal(0)))
PRICE_FILE = "model_prices_and_context_window_backup.json"

# Names of service tiers in the price file's keys. Batches are another path, which no dialect takes.
_SERVICES = ("flex", "priority", "balanced", "ultrafast", "decisions")
# Anthropic's name of the region whose calls cost more.
US = "us"
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
# Models that do nothing without tools that the provider runs.
_RESEARCHES = re.compile(r"(^|[-/])deep-research($|-)")
_SEARCHES_ALWAYS = re.compile(r"(^|[-/])(sonar|search|deep-research)($|-)")


OFFLINE = "offline/extract"
# The offline model bills nobody; its nominal price lets a run without a key exercise the ledger.
OFFLINE_PRICE = Price(
    Tariff(Rates(input=Decimal("0.15") / MILLION, output=Decimal("0.60") / MILLION)),
)


def load_price(model: str) -> Price | None:
    """The price that LiteLLM ships for a model, named as LiteLLM names it: `provider/model`, or
    the model alone. None where there is none, or where tokens do not bound what a call costs.
    The package's own `offline/...` has its nominal price; a model of one's own machine (Ollama's)
    that the file does not know costs nothing, which is a price."""
    provider = model.partition("/")[0]
    if provider == "offline":
        return OFFLINE_PRICE
    known = _load(model)
    return Price(_FREE, provider=provider) if known is None and provider in LOCAL else known


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
    searches = _RESEARCHES.search(name) is not None or (
        "search_context_cost_per_query" in entry
        and (provider == "perplexity" or _SEARCHES_ALWAYS.search(name) is not None)
    )
    if searches or any(key in entry for key in _UNSOUND):
        return None
    embeds = entry.get("mode") == "embedding"
    # Embeddings have no output, so many an entry names no price of it.
    tariffs = _tariffs({"output_cost_per_token": Decimal(0), **entry} if embeds else entry)
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
        max_output_tokens=(
            None if embeds else _count(entry.get("max_output_tokens") or entry.get("max_tokens"))
        ),
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
    return tariffs | _surcharged(entry, standard)


def _surcharged(entry: Mapping[str, Any], standard: Tariff) -> dict[str, Tariff]:
    """Tariffs that are a multiple of the standard one: `us`, where a call is served there."""
    factors = entry.get("provider_specific_entry")
    factor = _amount(factors.get(US)) if isinstance(factors, dict) else None
    return (
        {}
        if factor is None or entry.get("litellm_provider") != "anthropic"
        else {US: standard.times(factor)}
    )


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
        cache_write_long=parts.get("cache_write_long", base.cache_write_long if base else None),
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


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount >= 0 else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        return None
    return int(value)
