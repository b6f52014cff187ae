"""What each key of an entry of LiteLLM's price file charges for, and whether a call can meet it.

A key that charges for something and is not known here is a charge that nothing bounds: the model
has no price then, by that key's name. So what the file learns to charge for is refused until
somebody reads it.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.prices.tariffs import RERANK

# Names of service tiers in the price file's keys. Batches are another path, which no dialect takes.
SERVICES = ("flex", "priority", "balanced", "ultrafast", "decisions")
# The keys of rates a token, and the part of `Rates` that each is.
PARTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "input_cost_per_token_cache_hit": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_long",
    "cache_creation_input_token_cost_above_12hr": "cache_write_long",
    "output_cost_per_reasoning_token": "reasoning_output",
}
RATE = re.compile(rf"^({'|'.join(PARTS)})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(SERVICES)}))?$")
REQUEST_FEE = "input_cost_per_request"
# What ranks documents is charged by the search so, or by the token.
RANKING_FEE = "input_cost_per_query"

# What a key that charges for something has in its name.
_CHARGES = re.compile(r"(^|_)(cost|price|pricing|fee|uplift|multiplier|surcharge|per)(_|$)")
# Read elsewhere: `tiered_pricing` as tiers, uplifts by the place of a call.
_READ = re.compile(
    r"^(tiered_pricing|(fedramp|regional_(processing|endpoint))_uplift_multiplier(_eu|_us)?)$"
)
# What no governed call can cause: batches are another path; what hosted tools cost is bounded or
# refused with the tool; DBU are the same charge in Databricks' own unit. A cache that is made
# explicitly reads for less than the implicit one.
_NEVER = re.compile(
    r"_batches$"
    r"|^(search_context|google_maps_grounding)_cost_per_query$"
    r"|^(code_interpreter|file_search|computer_use|vector_store)_"
    r"|^(in|out)put_dbu_cost_per_token$"
    r"|^explicit_cache_read_input_token_cost$"
)
# Parts of a request that every dialect refuses by name, as their bytes do not bound their tokens;
# where the caller accepts them, `entries` reads what their tokens cost.
_REFUSED_INPUT = re.compile(r"^(input|cache_(read|creation)_input)_(cost_per_)?(audio|video)_")
# Images are counted as input tokens.
_IMAGE_INPUT = re.compile(r"^(input_cost_per|cache_read_input)_image(_token)?(_cost)?$")
_OTHER_INPUT = re.compile(r"^(input|cache_(read|creation)_input)_.*(image|audio|video)")
_OTHER_OUTPUT = re.compile(r"^output_cost_per_(image|audio|video|second)")
# Audio is written by these providers' models when it is asked for, which the dialects refuse.
_ASKED_FOR = frozenset({"openai", "azure"})
_IMAGE_RATES = {
    "input_cost_per_image_token": "input_cost_per_token",
    "cache_read_input_image_token_cost": "cache_read_input_token_cost",
}


# Whose models write images as tokens of their answers. What the list says of a whole image, written
# or read, is so many of them (ai.google.dev/gemini-api/docs/pricing): 1,290 at most are read.
_IMAGES_BY_THE_TOKEN = ("gemini", "vertex_ai")
_IMAGE_TOKENS_READ = 1290


def image_output(entry: Mapping[str, Any]) -> Decimal | None:
    """What a token of an image costs that the entry's model writes in an answer, in USD; None where
    it writes none so."""
    if not str(entry.get("litellm_provider")).startswith(_IMAGES_BY_THE_TOKEN):
        return None
    return amount(entry.get("output_cost_per_image_token")) or None


def uncounted(entry: Mapping[str, Any]) -> str | None:
    """The first key of an entry that charges for what tokens do not bound; None where all that it
    charges for is counted, or cannot be met by a governed call."""
    return next(_uncounted(entry), None)


def _uncounted(entry: Mapping[str, Any]) -> Iterator[str]:
    for key, value in entry.items():
        if not _CHARGES.search(key) or value is None:
            continue
        if RATE.match(key) or key == REQUEST_FEE:
            if amount(value) is None:
                yield key
        elif key == "off_peak_pricing":
            yield from _dearer_hours(entry, value)
        elif amount(value) != 0 and not _is_harmless(key, entry):
            yield key
    factors = entry.get("provider_specific_entry")
    if entry.get("litellm_provider") == "anthropic" and isinstance(factors, dict):
        # `us` is a tariff of its own; a fast lane is refused where it is asked for.
        for name in factors.keys() - {"us", "fast"}:
            yield f"provider_specific_entry.{name}"
    ranges = entry.get("tiered_pricing")
    for each in ranges if isinstance(ranges, list) else ():
        yield from _uncounted(each) if isinstance(each, dict) else ("tiered_pricing",)


def _is_harmless(key: str, entry: Mapping[str, Any]) -> bool:
    """Whether a charge is read elsewhere, or stands for what the entry's model does not take or
    write in a governed call."""
    if _READ.match(key) or _NEVER.search(key):
        return True
    if key == RANKING_FEE:
        return entry.get("mode") == RERANK
    if image_output(entry) is not None:
        if key in ("output_cost_per_image", "output_cost_per_image_token"):
            return True
        if key == "input_cost_per_image":
            rate, image = amount(entry.get("input_cost_per_token")), amount(entry[key])
            return rate is not None and image is not None and image <= _IMAGE_TOKENS_READ * rate
    if _OTHER_OUTPUT.match(key):
        written = entry.get("supported_output_modalities")
        asked = entry.get("litellm_provider") in _ASKED_FOR and "audio" in key
        return written == ["text"] or asked
    if entry.get("mode") == "embedding":
        # Text and tokens are all that the path of embeddings takes.
        return _OTHER_INPUT.match(key) is not None
    if _REFUSED_INPUT.match(key):
        return True
    if _IMAGE_INPUT.match(key) and key in _IMAGE_RATES:
        rate, image = amount(entry.get(_IMAGE_RATES[key])), amount(entry[key])
        return rate is not None and image is not None and image <= rate
    return False


def _dearer_hours(entry: Mapping[str, Any], hours: Any) -> Iterator[str]:
    """Hours that cost less are left alone, as the dearer price bounds them."""
    if not isinstance(hours, dict):
        yield "off_peak_pricing"
        return
    for key, value in hours.items():
        if _CHARGES.search(key):
            usual, then = amount(entry.get(key)), amount(value)
            if usual is None or then is None or then > usual:
                yield f"off_peak_pricing.{key}"


def unbelievable(entry: Mapping[str, Any]) -> str | None:
    """The key of a price of 0 that is no more than a gap in the list: 0 for what a model reads, or
    for what a model that writes text writes. None where there is none."""
    free = [
        key for key in ("input_cost_per_token", "output_cost_per_token") if _is_zero(entry, key)
    ]
    if entry.get("mode") == RERANK and amount(entry.get(RANKING_FEE)):
        return None
    if entry.get("mode") in ("embedding", RERANK):
        free = [key for key in free if key.startswith("input")]
    return free[0] if free else None


def _is_zero(entry: Mapping[str, Any], key: str) -> bool:
    return key in entry and amount(entry[key]) == 0


def amount(value: Any) -> Decimal | None:
    """A price as it stands in the list; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    found = Decimal(value)
    return found if found.is_finite() and found >= 0 else None
