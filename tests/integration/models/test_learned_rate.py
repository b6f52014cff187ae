"""A rate that nobody configured, end to end: learned of the provider, and named in the report."""

import pytest

from prefect_governor import fan_out
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def test_a_rate_that_nobody_configured_is_learned_and_named(upstream: ProviderProcess) -> None:
    upstream.configure(limits={"requests_per_second": 8}, latency_seconds=0.1, output_tokens=5)
    report = fan_out(
        [{"key": f"{at:03d}", "text": f"item {at}"} for at in range(48)],
        ask="What is this?",
        model="openai/gpt-4o-mini",
        max_usd=1,
        max_output_tokens=16,
        max_concurrent=20,
    )
    stats = upstream.settled_stats()
    learned = [note for note in report.notes if note.startswith("learned of openai/gpt-4o-mini")]
    print(stats["throttled"], report.limits, learned)
    assert report.outcome == "complete"
    assert stats["throttled"] < 20, "every call was refused once: nothing was learned"
    assert learned
    assert "8 requests_per_second (its headers)" in learned[0]
    assert report.limits.bottleneck in ("learned requests_per_second", "throttled")
