"""Never more than the rate in any window, however calls jitter; and not one wait too long."""

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.limits.rates import BUCKETS, RateMeter
from prefect_governor.blocks.records.limits import Meter, Rate

SECOND = 10**9
windows = st.sampled_from([1, 10, 60, 86_400])
steps = st.lists(
    # How long after the last, as a part of the window; how much, as a part of the rate; the jitter
    # between admission and arrival, as a part of the margin.
    st.tuples(
        st.floats(0, 1.3, allow_nan=False),
        st.floats(0, 1, allow_nan=False),
        st.floats(0, 1, allow_nan=False),
    ),
    min_size=1,
    max_size=60,
)


def meter(amount: int = 10, window_seconds: int = 60, kind: Meter = "requests") -> RateMeter:
    return RateMeter(Rate(kind, amount, window_seconds))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(windows, st.integers(1, 1000), steps)
@example(1, 1, [(0.0, 1.0, 1.0), (0.0, 1.0, 0.0)])
def test_no_window_as_the_provider_counts_it_holds_more_than_the_rate(
    window_seconds: int, amount: int, moves: list[tuple[float, float, float]]
) -> None:
    of, now = meter(amount, window_seconds), 10**15 + 12_345
    arrivals: list[tuple[int, int]] = []
    for pause, part, jitter in moves:
        now += int(pause * window_seconds * SECOND)
        need = max(1, int(part * amount))
        until = of.wait_until(need, now)
        if until is not None:
            assert until > now
            now = until
            assert of.wait_until(need, now) is None
        of.take(need, now)
        arrivals.append((now + int(jitter * of.margin * of.width), need))
    for opened, _ in arrivals:
        closes = opened + window_seconds * SECOND
        assert sum(need for at, need in arrivals if opened <= at < closes) <= amount


@pytest.mark.parametrize("window_seconds", [1, 7, 10, 60, 3600])
def test_a_call_at_the_last_instant_of_a_counter_that_arrives_late(window_seconds: int) -> None:
    of = meter(1, window_seconds)
    now = 1000 * of.width - 1
    of.take(1, now)
    until = of.wait_until(1, now)
    assert until is not None
    assert until - (now + of.margin * of.width) >= window_seconds * SECOND


@given(windows, st.integers(1, 50), steps)
def test_the_wait_is_until_the_first_instant_that_fits(
    window_seconds: int, amount: int, moves: list[tuple[float, float, float]]
) -> None:
    of, now = meter(amount, window_seconds), 10**15
    for pause, part, _ in moves:
        now += int(pause * window_seconds * SECOND / 10)
        need = max(1, int(part * amount))
        until = of.wait_until(need, now)
        if until is not None:
            assert of.wait_until(need, until - 1) is not None
            assert of.wait_until(need, until) is None
            # No later than the window, the counter it ends in and the margin.
            assert until - now <= (BUCKETS + of.margin + 1) * of.width
            now = until
        of.take(need, now)


def test_a_full_rate_loses_less_than_a_hundredth_of_itself() -> None:
    of, now, taken = meter(100), 10**15, 0
    end = now + 60 * 60 * SECOND
    while now < end:
        until = of.wait_until(1, now)
        if until is None:
            of.take(1, now)
            taken += 1
        else:
            now = until
    assert taken >= 0.99 * 100 * 60


def test_an_estimate_above_the_whole_rate_goes_alone_and_not_never() -> None:
    of, now = meter(100, kind="tokens"), 10**15
    assert of.wait_until(5_000, now) is None
    of.take(1, now)
    until = of.wait_until(5_000, now)
    assert until is not None
    assert of.wait_until(5_000, until) is None


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 300))
def test_a_correction_leaves_what_was_really_used(bound: int, used: int, later: int) -> None:
    of, now = meter(1000, kind="tokens"), 10**15
    counter = of.take(bound, now)
    of.correct(counter, used - bound)
    assert of.used(now) == used
    # A correction that comes when its counter is gone changes nothing.
    now += (BUCKETS + of.margin + 2) * of.width
    of.take(later, now)
    of.correct(counter, used)
    assert of.used(now) == later


def test_a_correction_never_lets_a_counter_go_below_nothing() -> None:
    of, now = meter(10, kind="tokens"), 10**15
    counter = of.take(4, now)
    of.correct(counter, -9)
    assert of.used(now) == 0


@given(st.lists(st.integers(-10 * SECOND, 70 * SECOND), min_size=1, max_size=40))
def test_a_clock_that_goes_back_forgets_nothing(moves: list[int]) -> None:
    of, now, latest = meter(5), 10**15, 0
    for move in moves:
        now += move
        latest = max(latest, now)
        if of.wait_until(1, now) is None:
            of.take(1, now)
        assert of.used(now) <= 5
    assume(now < latest)
    assert of.used(now) >= of.used(latest)


@given(
    starts=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=12),
    lates=st.lists(st.floats(0.0, 5.0), min_size=12, max_size=12),
)
def test_what_reached_the_provider_late_counts_for_as_much_longer(
    starts: list[float], lates: list[float]
) -> None:
    """A second call must not arrive within a window of the first, however late that was."""
    meter = RateMeter(Rate("requests", len(starts), 60))
    arrivals = []
    for start, late in zip(sorted(starts), lates, strict=False):
        now = int(start * SECOND)
        counter = meter.take(1, now)
        meter.delay(counter, 1, late)
        arrivals.append(start + late)
    until = meter.wait_until(1, 10 * SECOND)
    assert until is not None
    assert until / SECOND >= min(arrivals) + 60
    assert until / SECOND <= min(arrivals) + 61
    assert meter.used(10 * SECOND) == len(starts)


def test_a_delay_within_the_margin_moves_nothing() -> None:
    meter = RateMeter(Rate("requests", 5, 1))
    counter = meter.take(1, SECOND)
    meter.delay(counter, 1, 0.09)
    assert meter.taken == {counter: 1}
    meter.delay(counter, 1, 0.2)
    assert counter not in {at for at, count in meter.taken.items() if count}
