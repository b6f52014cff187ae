"""The usage of OpenAI's replies, which its two APIs state under two sets of names, and how long a
request keeps what it writes to a cache."""

from collections.abc import Mapping
from typing import Any, Literal

from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.requests.bodies import count_of

# Who keeps what is written to a cache for half an hour, where the request does not say otherwise
# (developers.openai.com/api/docs/guides/prompt-caching).
_MINUTES_UNLESS_ASKED = frozenset({"openai", "azure"})
_MINUTES = frozenset({None, "30m", "in_memory", "in-memory"})
# What was written to a cache, as OpenAI and OpenRouter name it, LiteLLM's proxy, and Qwen.
_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def usage_parts(
    usage: Any,
    *,
    input: Literal["prompt", "input"],
    output: Literal["completion", "output"],
    searches: int = 0,
) -> UsageParts | None:
    """What a usage says was billed. None where it is missing or cannot be: no request has no input.

    `input` and `output` are how its names begin.
    """
    inputs, outputs = count_of(usage, f"{input}_tokens"), count_of(usage, f"{output}_tokens")
    if not isinstance(usage, dict) or not inputs or outputs is None:
        return None
    total = count_of(usage, "total_tokens")
    if total is not None:
        # Some providers leave reasoning out of the output and have it in the total alone.
        outputs = max(outputs, total - inputs)
    details = usage.get(f"{input}_tokens_details")
    cached = count_of(details, "cached_tokens") or count_of(usage, "prompt_cache_hit_tokens") or 0
    written = max(count_of(details, name) or 0 for name in _WRITES)
    if cached + written > inputs:
        # Nonsense in the details: all of it is billed as fresh input.
        cached = written = 0
    thought = count_of(usage.get(f"{output}_tokens_details"), "reasoning_tokens") or 0
    return UsageParts(
        inputs,
        outputs,
        cached,
        written,
        min(thought, outputs),
        cache_write_short_tokens=_written_for_minutes(details, written),
        audio_tokens=min(count_of(details, "audio_tokens") or 0, inputs),
        searches=searches,
    )


def _written_for_minutes(details: Any, written: int) -> int | None:
    """Of what was written to a cache, None where the reply does not say for how long."""
    kept = details.get("cache_write_tokens_details") if isinstance(details, dict) else None
    short, long = count_of(kept, "ttl_30m_tokens"), count_of(kept, "ttl_12h_tokens")
    if short is None and long is None:
        return None
    return min(written if short is None else short, max(0, written - (long or 0)))


def keeps_for_hours(fields: Mapping[str, Any], body: bytes, provider: str | None) -> bool:
    """Whether what a request writes to a cache may be kept, and billed, for hours."""
    if provider not in _MINUTES_UNLESS_ASKED:
        return True
    options = fields.get("prompt_cache_options")
    ttl = options.get("ttl") if isinstance(options, dict) else None
    # A part of the request may say it for itself. In a text its quotes would be escaped.
    said = body.count(b'"ttl"') - (ttl is not None)
    return ttl not in _MINUTES or fields.get("prompt_cache_retention") not in _MINUTES or said > 0
