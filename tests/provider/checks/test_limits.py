"""The judge's limits, with time as an argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.provider.config import Config, Limits
from tests.provider.rules.gate import Admission, Gate, Refusal
from tests.provider.rules.limits import (
    SECOND,
    FixedWindow,
    Meter,
    SlidingWindow,
    TokenBucket,
    spell,
)

STEPS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 7)), max_size=60)
LIMIT, WINDOW = 10, 1000
METERS = [FixedWindow, SlidingWindow, TokenBucket]


def _drive(meter: Meter, steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(time, amount) of what the meter let in."""
    now = 0
    taken: list[tuple[int, int]] = []
    for gap, amount in steps:
        now += gap
        if meter.wait(now, amount) == 0:
            meter.take(now, amount)
            taken.append((now, amount))
    return taken


@given(STEPS)
def test_sliding_window_never_lets_more_through_in_any_window(steps: list[tuple[int, int]]) -> None:
    taken = _drive(SlidingWindow(LIMIT, WINDOW), steps)
    for end, _ in taken:
        assert sum(amount for at, amount in taken if end - WINDOW < at <= end) <= LIMIT


@given(STEPS)
def test_fixed_window_never_lets_more_through_in_an_aligned_window(
    steps: list[tuple[int, int]],
) -> None:
    taken = _drive(FixedWindow(LIMIT, WINDOW), steps)
    for index in {at // WINDOW for at, _ in taken}:
        assert sum(amount for at, amount in taken if at // WINDOW == index) <= LIMIT


@given(STEPS, st.integers(1, 20))
def test_bucket_never_lets_through_more_than_burst_and_refill(
    steps: list[tuple[int, int]], burst: int
) -> None:
    taken = _drive(TokenBucket(LIMIT, WINDOW, burst), steps)
    for start, _ in taken:
        for end, _ in taken:
            inside = sum(amount for at, amount in taken if start <= at <= end)
            assert start > end or inside * WINDOW <= burst * WINDOW + (end - start) * LIMIT


@pytest.mark.parametrize("kind", METERS)
@given(steps=STEPS, amount=st.integers(1, LIMIT))
def test_wait_is_exact_not_a_moment_too_long_or_too_short(
    kind: type[Any], steps: list[tuple[int, int]], amount: int
) -> None:
    meter: Meter = kind(LIMIT, WINDOW)
    _drive(meter, steps)
    now = sum(gap for gap, _ in steps)
    wait = meter.wait(now, amount)
    if wait:
        assert meter.wait(now + wait - 1, amount) > 0
    assert meter.wait(now + wait, amount) == 0


@pytest.mark.parametrize("kind", METERS)
def test_more_than_the_limit_never_fits(kind: type[Any]) -> None:
    meter: Meter = kind(LIMIT, WINDOW)
    assert meter.wait(0, LIMIT + 1) == WINDOW
    assert meter.wait(10 * WINDOW, LIMIT + 1) == WINDOW


@pytest.mark.parametrize("kind", METERS)
def test_correction_gives_back_and_is_forgotten_after_its_window(kind: type[Any]) -> None:
    meter: Meter = kind(LIMIT, WINDOW)
    ticket = meter.take(0, LIMIT)
    meter.correct(0, ticket, 4)
    assert meter.room(0) == 6
    meter.correct(5 * WINDOW, ticket, 0)
    assert meter.room(5 * WINDOW) == LIMIT


def _gate(*limits: dict[str, Any]) -> Gate:
    return Gate([Limits.model_validate(each) for each in limits])


def _admit(gate: Gate, now: int, model: str = "m", tokens: int = 10, output: int = 10) -> Any:
    return gate.admit(model, now, tokens, output)


def test_refused_by_one_limit_takes_nothing_of_another() -> None:
    gate = _gate({"requests_per_minute": 2}, {"max_concurrent": 1})
    first = _admit(gate, 0)
    assert isinstance(first, Admission)
    for _ in range(5):
        assert _admit(gate, 0).label == "max_concurrent"
    gate.settle(0, first, 0, 0)
    assert isinstance(_admit(gate, 0), Admission)


def test_denied_requests_count_only_where_the_config_says_so() -> None:
    for counted, expected in ((False, Admission), (True, Refusal)):
        gate = _gate({"requests_per_second": 1, "kind": "sliding", "count_denied": counted})
        assert isinstance(_admit(gate, 0), Admission)
        assert isinstance(_admit(gate, SECOND // 2), Refusal)
        assert isinstance(_admit(gate, SECOND), expected)


def test_limit_holds_for_the_models_of_its_glob_only() -> None:
    gate = _gate({"model": "gpt-4o*", "max_concurrent": 1})
    assert isinstance(_admit(gate, 0, "gpt-4o-mini"), Admission)
    assert isinstance(_admit(gate, 0, "gpt-4o"), Refusal)
    assert isinstance(_admit(gate, 0, "gpt-5"), Admission)


def test_per_minute_rate_is_counted_over_the_window() -> None:
    gate = _gate({"requests_per_minute": 600, "window_seconds": 1})
    admitted = [isinstance(_admit(gate, 0), Admission) for _ in range(12)]
    assert admitted == [True] * 10 + [False] * 2


@pytest.mark.parametrize(
    ("mode", "admitted"), [("arrival", [True, True, False]), ("corrected", [True, True, True])]
)
def test_tokens_counted_at_arrival_take_the_whole_allowance(
    mode: str, admitted: list[bool]
) -> None:
    gate = _gate({"tokens_per_minute": 100, "count_tokens": mode})
    found = []
    for _ in range(3):
        held = _admit(gate, 0, tokens=10, output=40)
        found.append(isinstance(held, Admission))
        if isinstance(held, Admission):
            gate.settle(0, held, 10, 5)
    assert found == admitted


def test_tokens_counted_at_the_end_admit_while_anything_is_left() -> None:
    gate = _gate({"tokens_per_minute": 100, "count_tokens": "end"})
    for used in (60, 39):
        held = _admit(gate, 0, tokens=10, output=1000)
        gate.settle(0, held, used, 0)
    last = _admit(gate, 0, output=1000)
    assert isinstance(last, Admission)
    gate.settle(0, last, 500, 0)
    refusal = _admit(gate, SECOND)
    assert (refusal.label, refusal.wait) == ("tokens_per_minute", 59 * SECOND)


@pytest.mark.parametrize("unit", ["input_tokens", "output_tokens"])
def test_input_and_output_have_limits_of_their_own(unit: str) -> None:
    gate = _gate({f"{unit}_per_minute": 10, "count_tokens": "arrival"})
    assert isinstance(_admit(gate, 0, tokens=10, output=10), Admission)
    tokens, output = (0, 99) if unit == "input_tokens" else (99, 0)
    assert isinstance(_admit(gate, 0, tokens=tokens, output=output), Admission)
    assert _admit(gate, 0, tokens=1, output=1).label == f"{unit}_per_minute"


def test_headers_name_limit_remaining_and_reset() -> None:
    gate = _gate({"requests_per_minute": 3, "tokens_per_minute": 100, "kind": "sliding"})
    _admit(gate, 0)
    headers = gate.headers("m", SECOND)
    assert headers["x-ratelimit-limit-requests"] == "3"
    assert headers["x-ratelimit-remaining-requests"] == "2"
    assert headers["x-ratelimit-reset-requests"] == "59s"
    assert headers["x-ratelimit-remaining-tokens"] == "100"
    assert headers["x-ratelimit-reset-tokens"] == "0ms"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (120 * 10**6, "120ms"),
        (6_200 * 10**6, "6.2s"),
        (63 * SECOND, "1m3s"),
    ],
)
def test_reset_is_spelled_as_openai_spells_it(nanoseconds: int, text: str) -> None:
    assert spell(nanoseconds) == text


@pytest.mark.parametrize(
    "bad",
    [
        {"limits": {"requests_per_minute": 5, "window_seconds": 1}},
        {"limits": {"max_concurrent": 0}},
        {"limits": {"requests_a_minute": 5}},
        {"faults": {"hang": 0.6, "error_500": 0.6}},
        {"output_tokens": [5, 2]},
        {"token_factor": 1.6},
    ],
)
def test_config_that_cannot_be_meant_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(bad)
