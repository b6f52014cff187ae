"""Where prices come from: the file that LiteLLM ships, or a person.

The file is read without importing LiteLLM (which takes seconds), as decimal text and never as
floats. What a call then costs is in `tariffs`.
"""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect_governor.blocks.prices.entries import Unpriced, parse
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


def why_unpriced(model: str) -> str:
    """Why a model has no price, for people: none is known, or what else it is charged by."""
    found = _load(model)
    known = found.why if isinstance(found, Unpriced) else None
    return f"no price is known for {model!r}" + (f": {known}" if known else "")


@lru_cache(maxsize=1024)
def _load(model: str) -> Price | Unpriced | None:
    prefix = model.partition("/")[0]
    if prefix == "offline":
        return OFFLINE_PRICE
    # Ollama serves models of its own hosts by the same path.
    local = prefix in LOCAL and not model.endswith("cloud")
    entries = _entries()
    for name, provider in _names(model):
        entry = entries.get(name)
        if entry is not None and provider in (None, entry.get("litellm_provider")):
            return parse(name, entry, local=local)
    return Price(_FREE, provider=prefix) if local else None


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
