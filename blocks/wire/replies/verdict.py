"""What became of a call: the meaning of an error and of the headers of a 429. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

from prefect_governor.blocks.wire.replies.statuses import Outcome

TOO_MANY = 429
# A 429 that no waiting mends.
SPENT_QUOTA = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
        "insufficient_balance",
        "credit_limit_exceeded",
    }
)
# Raised before a byte of the request can have left. (Under HTTP/1.1, which our clients speak, a
# local protocol error means that the request was never completed.)
NOT_SENT: tuple[type[Exception], ...] = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
# A provider that names a longer hold (a spent daily quota) is asked again after this.
LONGEST_HOLD_SECONDS = 3600.0

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def outcome_of_error(error: BaseException) -> Outcome:
    """What an exception of the transport says: void where the request cannot have left."""
    return "void" if isinstance(error, NOT_SENT) else "unconfirm"


def quota_is_spent(body: bytes) -> bool:
    """Whether a 429 says that the account's money is gone, which no waiting mends."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return False
    if not isinstance(error, dict):
        return False
    return any(str(error.get(name)) in SPENT_QUOTA for name in ("code", "type"))


def hold_seconds(headers: Mapping[str, str], *, attempt: int, now: datetime) -> float:
    """For how long a 429 asks to hold.

    `retry-after-ms`, else `retry-after` (seconds or an HTTP date), else the reset of what the
    `x-ratelimit-…` headers say is used up, else a backoff that doubles from a second with each
    `attempt` (the first is 1). Never negative; an hour at most.
    """
    found = _named(headers, now)
    if found is None:
        found = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempt - 1, 16))
    return min(max(found, 0.0), LONGEST_HOLD_SECONDS)


def _named(headers: Mapping[str, str], now: datetime) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    seconds = _number(after)
    if seconds is not None:
        return seconds
    if after is not None and (until := _date(after)) is not None:
        return (until - now).total_seconds()
    resets = [
        seconds
        for name, value in headers.items()
        if name.lower().startswith("x-ratelimit-reset-")
        and headers.get(name.lower().replace("reset", "remaining")) in (None, "0")
        and (seconds := duration_seconds(value)) is not None
    ]
    return max(resets) if resets else None


def duration_seconds(text: str) -> float | None:
    """`120ms`, `6.2s`, `1m3s`, `2h` or a plain number of seconds. None where it is none."""
    plain = _number(text)
    if plain is not None:
        return plain
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*\d{1,12}(\.\d{1,9})?\s*", text):
        return None
    return float(text)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
