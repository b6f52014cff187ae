"""Where prices come from: the file that LiteLLM ships, or a person.

The file is read without importing LiteLLM (which takes seconds), as decimal text and never as
floats. What a call then costs is in `tariffs`.
"""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prices import deployments
from prefect_governor.blocks.prices.bedrock import LISTED_AS, entries_of, region_at
from prefect_governor.blocks.prices.bedrock import PROVIDER as BEDROCK
from prefect_governor.blocks.prices.entries import Unpriced, parse, provider_of
from prefect_governor.blocks.prices.places import factor_at
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
    "OFFLINE_HOST",
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
    "price_at",
    "upstream_price",
    "why_unpriced",
]

MILLION = Decimal(10**6)
# Providers that are programs on one's own machine.
LOCAL = frozenset({"ollama", "ollama_chat"})
# The list's two names of one provider: of its chat, and of all else.
_ALSO = {"cohere_chat": "cohere", "cohere": "cohere_chat"}
_FREE = Tariff(Rates(input=Decimal(0), output=Decimal(0)))
PRICE_FILE = "model_prices_and_context_window_backup.json"

OFFLINE = "offline/extract"
# Where it is "reached": a name that nobody can have (RFC 2606, section 2).
OFFLINE_HOST = "offline.invalid"
# The offline model bills nobody; its nominal price lets a run without a key exercise the ledger.
OFFLINE_PRICE = Price(
    Tariff(Rates(input=Decimal("0.15") / MILLION, output=Decimal("0.60") / MILLION)),
    # Six quotes at the most, with their lines.
    max_output_tokens=1024,
)


def load_price(model: str) -> Price | None:
    """The price that LiteLLM ships for a model, named as LiteLLM names it: `provider/model`, or
    the model alone. None where there is none, or where tokens do not bound what a call costs.
    The package's own `offline/...` has its nominal price; a model of one's own machine (Ollama's)
    costs nothing, which is a price."""
    found = _load(model)
    return found if isinstance(found, Price) else None


def price_at(model: str, host: str) -> Price | None:
    """The same for a model that a host serves, whose place may be what the price depends on."""
    found = _load(model, region_at(host))
    return found.at(factor_at(found.places, host)) if isinstance(found, Price) else None


# What the paths of text are for, by the list's names.
_ASKED_FOR_TEXT = (None, "chat", "completion", "responses", "embedding")
# Whose models OpenRouter serves under a vendor's name of its own, by LiteLLM's name.
_VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "x-ai": "xai",
    "mistralai": "mistral",
    "deepseek": "deepseek",
    "moonshotai": "moonshot",
}


@lru_cache(maxsize=1024)
def upstream_price(model: str) -> Price | None:
    """What the vendor of a model asks for that OpenRouter serves (`openrouter/vendor/model`), whose
    prices it passes on (openrouter.ai/docs/faq). It may be routed to somebody dearer: this is a
    price only for a request that names it as the most that it may cost."""
    provider, _, slug = model.partition("/")
    vendor, slash, name = slug.partition(":")[0].partition("/")
    if provider != "openrouter" or not slash or vendor not in _VENDORS:
        return None
    for each in (name, name.replace(".", "-")):
        found = load_price(f"{_VENDORS[vendor]}/{each}")
        # Of a price that holds for text alone `max_price` would bound no image.
        if found is not None and found.image_output is None:
            return replace(found, provider=provider, places={})
    return None


def why_unpriced(model: str) -> str:
    """Why a model has no price, for people: none is known, or what else it is charged by."""
    found = _load(model)
    known = found.why if isinstance(found, Unpriced) else None
    return f"no price is known for {model!r}" + (f": {known}" if known else "")


@lru_cache(maxsize=1024)
def _load(model: str, region: str | None = None) -> Price | Unpriced | None:
    prefix = model.partition("/")[0]
    if prefix == "offline":
        return OFFLINE_PRICE
    if prefix == BEDROCK:
        return _load_bedrock(model, region)
    # Ollama serves models of its own hosts by the same path.
    local = prefix in LOCAL and not model.endswith("cloud")
    entries = _entries()
    if prefix == deployments.PROVIDER and (found := _deployment(model, entries)) is not None:
        return found
    for name, provider in _names(model):
        entry = entries.get(name)
        if entry is not None and provider in (None, provider_of(entry)):
            return parse(name, entry, local=local)
    return Price(_FREE, provider=prefix) if local else None


def _load_bedrock(model: str, region: str | None) -> Price | Unpriced | None:
    """The dearest of what the list may mean."""
    entries = _entries()
    found = [
        parse(name, entries[name])
        for name in entries_of(model, region, entries.keys())
        if entries[name].get("litellm_provider") in LISTED_AS
    ]
    prices = [each for each in found if isinstance(each, Price)]
    if len(prices) < len(found):
        return next(each for each in found if isinstance(each, Unpriced))
    return reduce(Price.dearest, prices) if prices else None


def _deployment(
    base_model: str, entries: Mapping[str, Mapping[str, Any]]
) -> Price | Unpriced | None:
    """The dearest that a deployment of a base model may cost; None where none of it is listed."""
    several = deployments.is_pattern(base_model)
    parsed = [
        parse(name, entries[name])
        for name in deployments.entries_of(base_model, entries)
        if not several or entries[name].get("mode") in _ASKED_FOR_TEXT
    ]
    prices = [each for each in parsed if isinstance(each, Price)]
    unpriced = [each for each in parsed if isinstance(each, Unpriced)]
    if unpriced and not (several and prices):
        return unpriced[0]
    # Of what writes and what does not, the dearest writes.
    prices = [each for each in prices if each.mode != "embedding"] or prices
    if not prices:
        return None
    dearest = prices[0]
    for each in prices[1:]:
        dearest = dearest.dearest(each)
    # What the list says of it in one zone, and leaves out in another.
    fees = [each.search_fee for each in prices if each.search_fee is not None]
    return replace(
        dearest,
        base_model=base_model,
        by_list=True,
        context_tokens=max((n for each in prices if (n := each.context_tokens)), default=None),
        max_output_tokens=min((n for p in prices if (n := p.max_output_tokens)), default=None),
        search_fee=max(fees, default=None),
    )


def price_of_answer(price: Price, answered: str) -> Price:
    """What a call costs that was priced by the list, and that a model answered which the reply
    names: a version of the one that was priced has its own price, and another model is never
    settled below what it costs. A name that the list does not know says nothing."""
    base = price.base_model
    if base is None or not price.by_list or deployments.is_less(answered, base):
        return price
    found = load_price(deployments.answering(answered, base)) or load_price(
        deployments.qualified(answered)
    )
    if found is None:
        return price
    return found if deployments.is_version(answered, base) else price.dearest(found)


def _names(model: str) -> Iterable[tuple[str, str | None]]:
    """Where a model's entry may stand, and the provider that it must then have."""
    yield model, None
    provider, slash, bare = model.partition("/")
    if slash:
        yield bare, provider
    if provider in _ALSO:
        yield f"{_ALSO[provider]}/{bare}", None
        yield bare, _ALSO[provider]
    if bare.startswith("ft:") or model.startswith("ft:"):
        # ft:<base>:<organisation>:<name>:<id> is priced as ft:<base>.
        tuned = bare if slash else model
        yield ":".join(tuned.split(":")[:2]), provider if slash else None


@lru_cache(maxsize=1)
def _entries() -> Mapping[str, Mapping[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    return read_entries(Path(spec.origin).parent / PRICE_FILE)


def read_entries(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The entries of a price file. Raises ConfigurationError where it is none."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"LiteLLM's price file cannot be read ({path}: {error}), so nothing has a price:"
            " install litellm anew"
        ) from None
    if not isinstance(entries, dict) or not all(
        isinstance(each, dict) for each in entries.values()
    ):
        raise ConfigurationError(
            f"LiteLLM's price file {path} is no list of models by name, so nothing has a price:"
            " install litellm anew"
        )
    return {name: entry for name, entry in entries.items() if name != "sample_spec"}
