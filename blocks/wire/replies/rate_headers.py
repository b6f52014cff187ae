"""What a reply's headers say of the provider's own rates. Pure."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from prefect_governor.blocks.records.limits import Meter, RateReading
from prefect_governor.blocks.wire.replies.verdict import duration_seconds

# The largest figure that is believed: an int64 holds a thousand of them.
MOST = 2**53

# OpenAI's names, which Groq and many gateways use as well: the meter's name stands last.
_OPENAI: tuple[tuple[str, Meter], ...] = (("requests", "requests"), ("tokens", "tokens"))
# Anthropic's: the meter's name stands in the middle, resets are instants. `tokens` is the most
# restrictive of its token limits where input and output are counted apart.
_ANTHROPIC: tuple[tuple[str, Meter], ...] = (
    ("requests", "requests"),
    ("input-tokens", "input_tokens"),
    ("output-tokens", "output_tokens"),
)


def rate_readings(headers: Mapping[str, str], *, now: datetime) -> tuple[RateReading, ...]:
    """The provider's rates, one a meter, as `x-ratelimit-…` or `anthropic-ratelimit-…` say.

    A limit that is no whole number from 1 to 2**53 is left out; a remaining or a reset that cannot
    be read is None. `headers` are looked up by lower-case names. `now` is what instants are told
    from.
    """
    return (*_openai(headers), *_anthropic(headers, now))


def _openai(headers: Mapping[str, str]) -> Iterator[RateReading]:
    for name, meter in _OPENAI:
        limit = _count(headers.get(f"x-ratelimit-limit-{name}"))
        if limit:
            reset = headers.get(f"x-ratelimit-reset-{name}")
            yield RateReading(
                meter,
                limit,
                _count(headers.get(f"x-ratelimit-remaining-{name}")),
                None if reset is None else duration_seconds(reset),
            )


def _anthropic(headers: Mapping[str, str], now: datetime) -> Iterator[RateReading]:
    found = [each for each in _ANTHROPIC if f"anthropic-ratelimit-{each[0]}-limit" in headers]
    if not any(meter != "requests" for _, meter in found):
        found.append(("tokens", "tokens"))
    for name, meter in found:
        limit = _count(headers.get(f"anthropic-ratelimit-{name}-limit"))
        if limit:
            yield RateReading(
                meter,
                limit,
                _count(headers.get(f"anthropic-ratelimit-{name}-remaining")),
                _until(headers.get(f"anthropic-ratelimit-{name}-reset"), now),
            )


def _count(text: str | None) -> int | None:
    if text is None or not re.fullmatch(r"\s*\d{1,16}\s*", text, re.ASCII):
        return None
    return count if (count := int(text)) <= MOST else None


def _until(text: str | None, now: datetime) -> float | None:
    """Seconds until an RFC 3339 instant, 0.0 for one that has passed."""
    if text is None:
        return None
    try:
        # Python 3.10 does not read a Z.
        instant = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
    except ValueError:
        return None
    if instant.tzinfo is None:
        return None
    return max(0.0, (instant - now).total_seconds())
