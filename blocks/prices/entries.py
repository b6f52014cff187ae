"""An entry of LiteLLM's price file as a price: rates, tiers by context and by service, by place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.prices.charges import (
    PARTS,
    RANKING_FEE,
    RATE,
    REQUEST_FEE,
    amount,
    image_output,
    unbelievable,
    uncounted,
)
from prefect_governor.blocks.prices.places import places_of
from prefect_governor.blocks.prices.tariffs import RERANK, Price, Rates, Tariff

# Anthropic's name of the region whose calls cost more.
US = "us"
# Models that do nothing without tools that the provider runs.
_RESEARCHES = re.compile(r"(^|[-/])deep-research($|-)")
_AUDIO_RATE = re.compile(r"^input_cost_per_(?:audio|video)_token(_(?!batches$).*)?$")
_AUDIO_BY_THE_SECOND = re.compile(r"^input_cost_per_(audio|video)_per_")
# Whose tiers by context begin at their threshold, and not above it: "200k and above"
# (docs.x.ai/developers/models).
_FROM_THE_THRESHOLD = frozenset({"xai"})
_SEARCHES_ALWAYS = re.compile(r"(^|[-/])(sonar|search|deep-research)($|-)")


@dataclass(frozen=True, slots=True)
class Unpriced:
    """That a model has no price, though the list knows it: `key` is what the list says of it that
    tokens do not bound, `why` a clause for people."""

    key: str
    why: str


def provider_of(entry: Mapping[str, Any]) -> str | None:
    """Whose model an entry is, by the prefix of LiteLLM's names: the list tells Vertex AI's
    publishers apart, which its names do not."""
    provider = entry.get("litellm_provider")
    vertex = isinstance(provider, str) and provider.startswith("vertex_ai-")
    return "vertex_ai" if vertex else provider


def parse(name: str, entry: Mapping[str, Any], *, local: bool = False) -> Price | Unpriced:
    """The price that an entry states. `local` is a program on one's own machine, which is free."""
    provider = provider_of(entry)
    searches = _SEARCHES_ALWAYS.search(name) is not None
    if _RESEARCHES.search(name) is not None or (
        (searches or "search_context_cost_per_query" in entry)
        if provider == "perplexity"
        else (searches and "search_context_cost_per_query" in entry)
    ):
        key = "search_context_cost_per_query"
        return Unpriced(key, f"it searches as often as it likes, and each costs ({key})")
    charge = uncounted(entry)
    if charge is not None:
        return Unpriced(charge, f"it is charged by `{charge}`, which tokens do not bound")
    zero = None if local else unbelievable(entry)
    if zero is not None:
        return Unpriced(
            zero, f"`{zero}` is 0 in LiteLLM's list, which does not say that it is free"
        )
    embeds, images = entry.get("mode") == "embedding", image_output(entry)
    # Embeddings have no output, so many an entry names no price of it.
    tariffs = _tariffs({"output_cost_per_token": Decimal(0), **entry} if embeds else entry)
    standard = tariffs.pop("", None)
    if standard is None:
        missing = "input_cost_per_token"
        missing = missing if missing not in entry else "output_cost_per_token"
        return Unpriced(missing, f"LiteLLM's list names no `{missing}` of it")
    return Price(
        standard=standard,
        service=tariffs,
        request_fee=amount(entry.get(REQUEST_FEE, 0)) or Decimal(0),
        provider=provider,
        context_tokens=_count(entry.get("max_input_tokens") or entry.get("max_tokens")),
        max_output_tokens=(
            None
            if embeds or entry.get("mode") == RERANK
            else _count(entry.get("max_output_tokens") or entry.get("max_tokens"))
        ),
        # Who writes images by the token does so in an answer like any other.
        mode=entry.get("mode") if images is None else "chat",
        places=places_of(entry),
        search_fee=_search_fee(entry),
        audio_input=_audio_input(entry),
        image_output=images,
        audio_key=next((key for key in entry if _AUDIO_BY_THE_SECOND.match(key)), None),
    )


def _search_fee(entry: Mapping[str, Any]) -> Decimal | None:
    """What one hosted search costs, at the dearest of its sizes; of what ranks, a ranking."""
    if entry.get("mode") == RERANK:
        return amount(entry.get(RANKING_FEE))
    sizes = entry.get("search_context_cost_per_query")
    fees = [amount(fee) for fee in sizes.values()] if isinstance(sizes, dict) else []
    known = [fee for fee in fees if fee is not None]
    return max(known) if known and len(known) == len(fees) else None


def _audio_input(entry: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """What a token of audio or video costs as input: at the standard tier, and the dearest."""
    found = {
        bool(match[1]): rate
        for key, value in sorted(entry.items())
        if (match := _AUDIO_RATE.match(key)) and (rate := amount(value)) is not None
    }
    if not found:
        return None
    dearest = max(found.values())
    return found.get(False, dearest), dearest


def _tariffs(entry: Mapping[str, Any]) -> dict[str, Tariff]:
    """The tariffs of an entry by service tier ("" is the standard one)."""
    if isinstance(entry.get("tiered_pricing"), list):
        ranged = _ranged(entry["tiered_pricing"])
        return {"": ranged} if ranged is not None else {}
    found: dict[tuple[str, int], dict[str, Decimal]] = {}
    for key, value in entry.items():
        match = RATE.match(key)
        rate = amount(value) if match else None
        if match is None or rate is None:
            continue
        part, threshold, service = PARTS[match[1]], int(match[2] or 0) * 1000, match[3] or ""
        if threshold and entry.get("litellm_provider") in _FROM_THE_THRESHOLD:
            threshold -= 1
        rates = found.setdefault((service, threshold), {})
        # Two names of one thing may differ.
        rates[part] = max(rate, rates.get(part, rate))
    base = _rates(found.get(("", 0), {}), None)
    if base is None:
        return {}
    standard = Tariff(base, _above("", found, base))
    tariffs = {"": standard}
    for service in sorted({service for service, _ in found if service}):
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
    factor = amount(factors.get(US)) if isinstance(factors, dict) else None
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
    """The parts as rates; what a tier leaves out costs what it costs below it, or what the tier's
    own output or input costs, whichever is dearer.

    A cache whose reads a tier does not price costs what its input costs; so does one whose reads
    are said to cost nothing.
    """
    if base is None and not {"input", "output"} <= parts.keys():
        return None
    output = parts["output"] if base is None else parts.get("output", base.output)
    reasoning = parts.get("reasoning_output")
    if reasoning is None and base is not None and base.reasoning_output is not None:
        reasoning = max(base.reasoning_output, output)
    return Rates(
        input=parts["input"] if base is None else parts.get("input", base.input),
        output=output,
        cached_input=parts.get("cached_input") or None,
        cache_write=parts.get("cache_write", base.cache_write if base else None),
        reasoning_output=reasoning,
        cache_write_long=parts.get("cache_write_long", base.cache_write_long if base else None),
    )


def _ranged(ranges: list[Any]) -> Tariff | None:
    """`tiered_pricing`: a list of rates, each for a range of input tokens."""
    tiers: list[tuple[int, Rates]] = []
    for each in ranges:
        if not isinstance(each, dict) or not isinstance(each.get("range"), list):
            return None
        parts = {
            PARTS[key]: rate
            for key, value in each.items()
            if key in PARTS and (rate := amount(value)) is not None
        }
        rates = _rates(parts, None)
        if rates is None:
            return None
        tiers.append((int(each["range"][0]), rates))
    tiers.sort(key=lambda tier: tier[0])
    if not tiers or tiers[0][0] != 0:
        return None
    return Tariff(tiers[0][1], tuple(tiers[1:]))


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value <= 0:
        return None
    return int(value)
