"""The adaptive cap: what a provider teaches of how many calls at once it serves."""

import itertools
from collections import deque

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
        st.sampled_from(["served", "throttled", "failed", "admitted"]),
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
    cap, now, most = AdaptiveCap(), START, 0
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
        else:
            cap.admitted(in_flight)
        assert cap.cap is None or cap.cap >= 1
        if cap.throttled_at and before is not None:
            assert cap.cap is not None
            # What throttling has taught is tried by one call more; up to it more go at once where
            # slow answers turn out to be as slow with fewer.
            assert cap.cap <= max(before, most, cap.proven) + 1
        most = max(most, before or 0)


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


def test_a_burst_of_5xx_is_most_of_what_is_in_flight() -> None:
    few, most = AdaptiveCap(), AdaptiveCap()
    for number in range(60):
        few.failed(index_of(START), START + number, 200)
    assert few.cap is None, "a gateway that went away took a quarter of them"
    for number in range(200):
        most.failed(index_of(START), START + number, 200)
    assert (most.cap, most.cause) == (150, "errors")


def test_what_was_in_flight_at_a_cut_cuts_no_further() -> None:
    cap = AdaptiveCap()
    for number in range(400):
        cap.failed(index_of(START), START + number, 200)
    assert cap.cap == 150


def test_after_errors_each_call_that_is_served_brings_back_one_more() -> None:
    cap = AdaptiveCap()
    for number in range(200):
        cap.failed(index_of(START), START + number, 200)
    now = START + 2 * SECOND
    for number in range(30):
        cap.succeeded(index_of(now), now + number, 150, 1.0)
    assert cap.cap == 180


def test_errors_that_come_back_with_the_calls_make_it_climb_step_by_step() -> None:
    cap, now = AdaptiveCap(), START
    for _ in range(2):
        for number in range(200):
            cap.failed(index_of(now), now + number, 200)
        now += 2 * SECOND
        for _ in range(100):
            cap.succeeded(index_of(now), now, 150, 1.0)
        now += 2 * SECOND
    assert cap.relapsed
    assert cap.cap == 150


def test_a_limit_that_throttling_taught_is_not_climbed_above_after_errors() -> None:
    cap = AdaptiveCap()
    for number in range(50):
        cap.throttled(index_of(START), START + number, 100 - number)
    assert (cap.cap, cap.proven) == (50, 50)
    now = START + 10 * SECOND
    for number in range(60):
        cap.failed(index_of(now), now + number, 50)
    assert cap.cause == "errors"
    now += 5 * SECOND
    for _ in range(300):
        cap.admitted(cap.cap or 0)
        cap.succeeded(index_of(now), now, 50, 1.0)
    assert cap.cap == 50, "within a minute of throttling more than it taught was tried"


def test_a_cap_that_is_not_filled_does_not_climb() -> None:
    cap, now = AdaptiveCap(cap=10, proven=10, throttled_at=START), START + 200 * SECOND
    for _ in range(100):
        cap.succeeded(index_of(now), now, 9, 1.0)
    assert cap.cap == 10
    cap.admitted(10)
    cap.succeeded(index_of(now), now, 10, 1.0)
    assert cap.cap == 11
