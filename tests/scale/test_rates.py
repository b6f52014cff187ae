"""A rate that four processes share, used in full and not exceeded, whichever way the provider
counts. Judged by its own log; beside it the same callers under nothing.

RATES_SECONDS says how long a rate of a minute is used; shorter while developing.
"""

import os
from pathlib import Path

import pytest

from tests.provider.process import ProviderProcess
from tests.scale.callers import Order, Served, call, served, until_settled

pytestmark = [pytest.mark.scale, pytest.mark.slow]

SECONDS = float(os.environ.get("RATES_SECONDS", "240"))
WINDOW = 60.0
REQUESTS = 600
TOKENS = 40_000
A_SECOND = 10
AT_ONCE = 40
LATENCY = [0.2, 0.6]
OUTPUT_TOKENS = [10, 50]
kinds = pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])


def ungoverned(home: Path, limits: dict[str, object], seconds: float) -> Served:
    with provider(limits) as upstream:
        call(Order(upstream.api_base, None, seconds), home)
        until_settled(upstream)
        return served(upstream, after=0, seconds=seconds)


def provider(limits: dict[str, object]) -> ProviderProcess:
    return ProviderProcess(
        latency_seconds=LATENCY, output_tokens=OUTPUT_TOKENS, token_factor=1.2, limits=limits
    )


def governed(
    home: Path, limits: dict[str, object], limit: dict[str, object], seconds: float, after: float
) -> tuple[Served, int]:
    """What was served after the first window, and how many calls waited at the least."""
    with provider(limits) as upstream:
        told = call(Order(upstream.api_base, {"max_concurrent": AT_ONCE, **limit}, seconds), home)
        until_settled(upstream)
        found = served(upstream, after=after, seconds=seconds - after)
    assert len(told) == 4
    return found, min(each["least_waiting"] for each in told)


@kinds
def test_requests_a_minute_are_used_in_full_and_none_is_refused(tmp_path: Path, kind: str) -> None:
    limits: dict[str, object] = {"requests_per_minute": REQUESTS, "kind": kind}
    found, waited = governed(
        tmp_path, limits, {"requests_per_minute": REQUESTS}, SECONDS, after=WINDOW
    )
    control = ungoverned(tmp_path, limits, 15)
    share = found.counted / (REQUESTS * (SECONDS - WINDOW) / WINDOW)
    print(
        f"\nrequests, {kind}: {found.requests} sent, {found.refused} refused, {share:.4f} of the"
        f" rate over {SECONDS - WINDOW:.0f} s, at least {waited} waited in each process;"
        f" ungoverned {control.refused} of {control.requests} refused in 15 s"
    )
    assert control.refused > 0.1 * control.requests
    assert found.refused == 0
    assert waited > 0, "the queue was empty"
    assert share >= 0.98


@kinds
def test_tokens_a_minute_are_used_in_full_and_hardly_any_call_is_refused(
    tmp_path: Path, kind: str
) -> None:
    limits: dict[str, object] = {
        "tokens_per_minute": TOKENS,
        "kind": kind,
        "count_tokens": "corrected",
    }
    found, waited = governed(tmp_path, limits, {"tokens_per_minute": TOKENS}, SECONDS, after=WINDOW)
    control = ungoverned(tmp_path, limits, 15)
    share = found.tokens / (TOKENS * (SECONDS - WINDOW) / WINDOW)
    refused = found.refused / found.requests
    print(
        f"\ntokens, {kind}: {found.requests} sent, {found.refused} refused ({refused:.4f}),"
        f" {share:.4f} of the rate over {SECONDS - WINDOW:.0f} s, at least {waited} waited in each"
        f" process; ungoverned {control.refused} of {control.requests} refused in 15 s"
    )
    assert control.refused > 0.1 * control.requests
    assert refused <= 0.01
    assert waited > 0, "the queue was empty"
    assert share >= 0.95


@kinds
def test_requests_a_second_are_used_and_none_is_refused(tmp_path: Path, kind: str) -> None:
    limits: dict[str, object] = {"requests_per_second": A_SECOND, "kind": kind}
    seconds, after = min(SECONDS, 60.0), 1.0
    found, waited = governed(
        tmp_path, limits, {"requests_per_second": A_SECOND}, seconds, after=after
    )
    control = ungoverned(tmp_path, limits, 5)
    share = found.counted / (A_SECOND * (seconds - after))
    print(
        f"\na second, {kind}: {found.requests} sent, {found.refused} refused, {share:.4f} of the"
        f" rate over {seconds - after:.0f} s, at least {waited} waited in each process; ungoverned"
        f" {control.refused} of {control.requests} refused in 5 s"
    )
    assert control.refused > 0.1 * control.requests
    assert found.refused == 0
    assert waited > 0, "the queue was empty"
    assert share >= 0.85
