"""The adaptive cap: what a provider teaches of how many calls at once it serves."""

import itertools
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.limits.adaptive import CALM_NS, WIDTH, AdaptiveCap, index_of

SECOND = 10**9
START = 10**15


class Provider:
    """Serves so many calls at once, each in a second, and refuses the others at once. Callers keep
    the cap full, or `demand`, where nothing was learned."""

    def __init__(self, serves: int, *, demand: int) -> None:
        self.serves = serves
        self.demand = demand
        self.cap = AdaptiveCap()
        self.now = START
        self.open: deque[int] = deque()
        self.refusals: list[tuple[int, int]] = []

    @property
    def wanted(self) -> int:
        return min(self.demand, self.cap.cap or self.demand)

    def second(self) -> None:
        """What is open ends; then the callers fill the cap, all at one instant."""
        self.now += SECOND
        while self.open:
            index = self.open.popleft()
            self.cap.succeeded(index, self.now, len(self.open) + 1, 1.0)
        self.now += WIDTH
        wanted = self.wanted
        for number in range(wanted):
            self.cap.admitted(number + 1)
        in_flight = wanted
        for _ in range(max(0, wanted - self.serves)):
            self.cap.throttled(index_of(self.now), self.now, in_flight)
            self.refusals.append((self.now, wanted))
            in_flight -= 1
        self.open.extend([index_of(self.now)] * in_flight)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second()

    @property
    def episodes(self) -> list[int]:
        return sorted({at for at, _ in self.refusals})


@settings(deadline=None)
@given(serves=st.integers(1, 60), demand=st.integers(1, 120))
def test_a_throttling_episode_a_minute_at_most_and_one_call_above_what_was_learned(
    serves: int, demand: int
) -> None:
    provider = Provider(serves, demand=demand)
    provider.run(400)
    times = provider.episodes
    if demand <= serves:
        assert not times
        assert provider.cap.cap is None
        return
    assert all(after - before >= CALM_NS for before, after in itertools.pairwise(times))
    # The first is of a burst that nothing held back; what comes later is a probe.
    assert all(sent == serves + 1 for at, sent in provider.refusals if at > times[0])
    assert serves * 0.7 <= (provider.cap.cap or 0) <= serves + 1


@settings(deadline=None)
@given(serves=st.integers(4, 30))
def test_it_follows_within_two_minutes_when_the_provider_serves_twice_as_many(serves: int) -> None:
    provider = Provider(serves, demand=200)
    provider.run(150)
    provider.serves = 2 * serves
    provider.run(120)
    assert provider.cap.cap is not None
    assert provider.cap.cap >= 2 * serves * 0.75


events = st.lists(
    st.tuples(
        st.sampled_from(["served", "throttled", "failed", "pressed", "admitted"]),
        st.integers(1, 500),
        st.integers(0, 90 * SECOND),
        st.integers(0, 8),
        st.floats(0, 1e6),
    ),
    max_size=200,
)


@given(events)
def test_whatever_happens_the_cap_is_at_least_one(
    moves: list[tuple[str, int, int, int, float]],
) -> None:
    cap, now = AdaptiveCap(), START
    for kind, in_flight, passed, ago, seconds in moves:
        now += passed
        index = index_of(now) - ago
        before = cap.cap
        if kind == "served":
            cap.succeeded(index, now, in_flight, seconds)
        elif kind == "throttled":
            cap.throttled(index, now, in_flight)
        elif kind == "failed":
            cap.failed(index, now, in_flight)
        elif kind == "pressed":
            cap.pressed(now, in_flight)
        else:
            cap.admitted(in_flight)
        assert cap.cap is None or cap.cap >= 1
        if before is not None:
            assert cap.cap is not None
            assert cap.cap <= before + 1


def test_calls_in_flight_at_a_cut_belong_to_that_episode() -> None:
    cap = AdaptiveCap(cap=20, proven=20)
    early = index_of(START)
    now = START + SECOND
    for number in range(5):
        cap.throttled(early, now + number, 20 - number)
    assert cap.cap == 15
    cap.throttled(index_of(now + 2 * SECOND), now + 2 * SECOND, 15)
    assert cap.cap == 11


def test_of_the_first_burst_what_was_served_is_the_cap() -> None:
    cap = AdaptiveCap()
    for number in range(40):
        cap.throttled(index_of(START), START + number, 50 - number)
    assert cap.cap == 10
    for number in range(10):
        cap.throttled(index_of(START), START + 40 + number, 10 - number)
    assert cap.cap == 1, "the last of those that may have been served"


def test_a_burst_of_5xx_cuts_and_a_stray_one_does_not() -> None:
    stray, burst = AdaptiveCap(cap=20, proven=20), AdaptiveCap(cap=20, proven=20)
    for number in range(40):
        now = START + number * SECOND
        if number % 5:
            stray.succeeded(index_of(now), now, 20, 1.0)
        else:
            stray.failed(index_of(now), now, 20)
    assert stray.cause is None
    for number in range(8):
        burst.failed(index_of(START), START + number, 20)
    assert burst.cap == 15
    assert burst.cause == "errors"


def latencies(cap: AdaptiveCap, seconds: float, calls: int, start: int) -> int:
    now = start
    for _ in range(calls):
        now += SECOND
        cap.succeeded(index_of(now), now, 20, seconds)
    return now


def test_rising_latency_cuts_once_and_longer_calls_are_accepted_as_they_are() -> None:
    cap = AdaptiveCap(cap=20, proven=20)
    now = latencies(cap, 1.0, 64, START)
    assert cap.cause is None
    now = latencies(cap, 6.0, 64, now)
    assert cap.cause == "latency"
    assert cap.cap is not None
    assert cap.cap < 20
    at = cap.cut_at
    # Fewer calls at once made them no shorter: they are longer, and the cap is not to blame.
    now = latencies(cap, 6.0, 400, now)
    assert cap.best_latency == pytest.approx(6.0, abs=0.5)
    now = latencies(cap, 6.0, 400, now)
    assert cap.cut_at - at < 120 * SECOND


def test_a_cap_that_is_not_filled_does_not_climb() -> None:
    cap = AdaptiveCap(cap=10, proven=10)
    latencies(cap, 1.0, 100, START)
    assert cap.cap == 10
    cap.admitted(10)
    latencies(cap, 1.0, 1, START + 200 * SECOND)
    assert cap.cap == 11
