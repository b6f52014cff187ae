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
from prefect_governor.blocks.prices.bedrock import LISTED_AS, entries_of, region_at
from prefect_governor.blocks.prices.bedrock import PROVIDER as BEDROCK
from prefect_governor.blocks.prices.entries import Unpriced, parse
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
_FREE = Tariff(Rates(input=Decimal(0), output=Decimal(0)))
PRICE_FILE = "model_prices_and_context_window_backup.json"

OFFLINE = "offline/extract"
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
        if found is not None:
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
    for name, provider in _names(model):
        entry = entries.get(name)
        if entry is not None and provider in (None, entry.get("litellm_provider")):
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
