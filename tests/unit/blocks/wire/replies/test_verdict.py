"""What a failed call is charged, and how long a 429 holds everyone."""

from datetime import datetime, timezone

import httpx
import pytest

from prefect_governor.blocks.wire.replies.verdict import (
    LONGEST_HOLD_SECONDS,
    duration_seconds,
    hold_seconds,
    outcome_of_error,
    quota_is_spent,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError(""),
        httpx.ReadTimeout(""),
        httpx.WriteTimeout(""),
        httpx.CloseError(""),
        httpx.RemoteProtocolError(""),
        httpx.DecodingError(""),
        KeyboardInterrupt(),
        OSError(),
    ],
)
def test_error_after_bytes_may_have_left_stays_charged(error: BaseException) -> None:
    assert outcome_of_error(error) == "unconfirm"


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError(""),
        httpx.ConnectTimeout(""),
        httpx.PoolTimeout(""),
        httpx.ProxyError(""),
        httpx.UnsupportedProtocol(""),
        httpx.LocalProtocolError(""),
    ],
)
def test_error_before_any_byte_left_is_not_charged(error: BaseException) -> None:
    assert outcome_of_error(error) == "void"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30),
        ({"retry-after": "Thu, 01 Jan 2025 00:00:30 GMT"}, 0),
        ({"retry-after": "-5"}, 1),
        ({"retry-after": "soon"}, 1),
        ({"retry-after": "inf"}, 1),
        ({"retry-after": "99999999"}, LONGEST_HOLD_SECONDS),
        ({"x-ratelimit-reset-tokens": "1m3s"}, 63),
        (
            {
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "12000",
            },
            0.12,
        ),
        ({}, 1),
    ],
)
def test_hold_is_what_the_provider_asked_for(headers: dict[str, str], seconds: float) -> None:
    held = hold_seconds(httpx.Headers(headers), attempt=1, now=NOW)
    assert held == pytest.approx(seconds)


def test_backoff_doubles_and_stays_within_a_minute() -> None:
    held = [hold_seconds({}, attempt=attempt, now=NOW) for attempt in (1, 2, 3, 7, 8, 10**6)]
    assert held == [1, 2, 4, 60, 60, 60]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("1m3.5s", 63.5), ("120ms", 0.12), ("6", 6), ("", None), ("6x", None)],
)
def test_durations_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "spent"),
    [
        (b'{"error": {"code": "insufficient_quota"}}', True),
        (b'{"error": {"type": "insufficient_quota", "code": null}}', True),
        (b'{"error": {"code": "rate_limit_exceeded"}}', False),
        (b'{"error": {"code": ["insufficient_quota"]}}', False),
        (b'{"error": "insufficient_quota"}', False),
        (b"[]", False),
        (b"busy", False),
    ],
)
def test_only_a_spent_quota_is_past_waiting(body: bytes, spent: bool) -> None:
    assert quota_is_spent(body) is spent
