"""What replies say of a provider's rates."""

from datetime import datetime, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.records.limits import RateReading
from prefect_governor.blocks.wire.replies.rate_headers import rate_readings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


def read(**headers: str) -> tuple[RateReading, ...]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rate_readings(httpx.Headers(named), now=NOW)


def test_openai() -> None:
    assert read(
        x_ratelimit_limit_requests="500",
        x_ratelimit_remaining_requests="499",
        x_ratelimit_reset_requests="120ms",
        x_ratelimit_limit_tokens="200000",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="1m3s",
    ) == (
        RateReading("requests", 500, 499, 0.12),
        RateReading("tokens", 200_000, 0, 63.0),
    )


def test_anthropic() -> None:
    assert read(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="3",
        anthropic_ratelimit_requests_reset="2026-11-24T12:00:30Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_output_tokens_limit="8000",
        anthropic_ratelimit_output_tokens_reset="2026-11-24T11:59:00+00:00",
        anthropic_ratelimit_tokens_limit="48000",
    ) == (
        RateReading("requests", 50, 3, 30.0),
        RateReading("input_tokens", 40_000),
        RateReading("output_tokens", 8_000, None, 0.0),
    )
    assert read(anthropic_ratelimit_tokens_limit="48000") == (RateReading("tokens", 48_000),)


@pytest.mark.parametrize("limit", ["", "0", "-1", "many", "1e9", "9" * 17, "٣"])
def test_what_is_no_limit_is_left_out(limit: str) -> None:
    headers = {"x-ratelimit-limit-requests": limit}
    assert rate_readings(headers, now=NOW) == ()


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_header_holds_is_read_or_left_out(remaining: str, reset: str) -> None:
    for name in ("x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}"):
        headers = {
            name.format("limit"): "10",
            name.format("remaining"): remaining,
            name.format("reset"): reset,
        }
        (reading,) = rate_readings(headers, now=NOW)
        assert reading.limit == 10
        assert reading.remaining is None or reading.remaining >= 0
