"""A provider that throttles at a rate that nobody configured, judged by its own log."""

import itertools
import json
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import fan_out
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.scale, pytest.mark.slow, pytest.mark.usefixtures("server")]

MODEL = "openai/gpt-4o-mini"
# How long the rate stays, and how long it is twice that, in seconds; shorter while developing.
BEFORE = float(os.environ.get("ADAPT_BEFORE_SECONDS", "150"))
AFTER = float(os.environ.get("ADAPT_AFTER_SECONDS", "150"))
RATE = 120


def episodes(records: list[dict[str, Any]]) -> list[float]:
    """When throttling began: 429s within ten seconds of each other are one."""
    times = [each["arrival"] for each in records if each["status"] == 429]
    pairs = zip([float("-inf"), *times], times, strict=False)
    return [at for before, at in pairs if at - before > 10]


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_a_rate_nobody_configured_is_learned_and_followed_when_it_doubles(
    upstream: ProviderProcess, tmp_path: Path, kind: str
) -> None:
    limits = {"requests_per_minute": RATE, "kind": kind}
    upstream.configure(limits=limits, latency_seconds=0.5, output_tokens=5)
    items = int(RATE * (1 + BEFORE / 60 + 2 * AFTER / 60))
    doubled: list[float] = []

    def double() -> None:
        doubled.append(time.time())
        upstream.configure(limits={**limits, "requests_per_minute": 2 * RATE})

    timer = threading.Timer(BEFORE, double)
    timer.start()
    try:
        report = fan_out(
            [{"key": f"{at:05d}", "text": f"item {at}"} for at in range(items)],
            ask="What is this?",
            model=MODEL,
            max_usd=5,
            max_output_tokens=16,
            max_concurrent=20,
        )
    finally:
        timer.cancel()
    records = upstream.log()
    served = [each["arrival"] for each in records if each["status"] == 200]
    began = episodes(records)
    states = Counter(item.state for item in report.items)
    learned = [note for note in report.notes if note.startswith("learned of")]
    end = max(served)
    late = sum(at > end - 60 for at in served)
    print(
        f"\n{kind}: {dict(states)}, {len(records) - len(served)} of {len(records)} refused in"
        f" {len(began)} episodes at {[round(at - served[0]) for at in began]} s,"
        f" {late} served in the last minute of {end - served[0]:.0f} s;"
        f" {json.dumps(report.limits.model_dump(mode='json'))} {learned}"
    )
    assert states == {"succeeded": items}
    assert began, "the ungoverned rate was not too much: nothing was tested"
    assert all(b - a >= 59 for a, b in itertools.pairwise(began[1:]))
    assert learned
    assert "requests_per_minute" in learned[0]
    if doubled:
        assert late >= 1.6 * RATE
