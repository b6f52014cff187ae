"""Rates that nobody configured, against providers that count in their own ways."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.gate import Gate, rate_wait, slot_wait
from prefect_governor.blocks.limits.upstream import Upstream
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import RateReading, Signals
from tests.provider.rules.limits import FixedWindow, Meter, SlidingWindow, TokenBucket

SECOND = 10**9
STEP = 50_000_000
BOUND = Bound(1, 100, 100)
USAGE = Usage(1, 100, 20)
LATENCY = 4


class World:
    """Callers with more work than any limit lets through, a gate, and a provider's meter."""

    def __init__(self, meter: Meter, *, headers: bool, callers: int = 20, start: int = 0) -> None:
        self.meter = meter
        self.headers = headers
        self.callers = callers
        self.gate = Gate("upstream/host/model", "model at host", upstream=Upstream())
        self.now = 10**15 + start
        self.open: list[tuple[int, tuple[int, ...]]] = []
        self.served: list[int] = []
        self.refused: list[int] = []

    @property
    def upstream(self) -> Upstream:
        assert self.gate.upstream is not None
        return self.gate.upstream

    def readings(self) -> tuple[RateReading, ...]:
        if not self.headers:
            return ()
        reset = self.meter.wait(self.now, self.meter.limit) / SECOND
        return (RateReading("requests", self.meter.limit, self.meter.room(self.now), reset),)

    def step(self) -> None:
        self.now += STEP
        while self.open and self.open[0][0] <= self.now:
            _, counters = self.open.pop(0)
            signals = Signals(200, LATENCY * STEP / SECOND, 0.0, self.readings())
            self.gate.leave(counters, BOUND, USAGE, signals, self.now)
        while (
            self.gate.in_flight < self.callers
            and slot_wait(self.gate, self.now) is None
            and rate_wait(self.gate, BOUND, self.now) is None
        ):
            counters = self.gate.take(BOUND, self.now)
            wait = self.meter.wait(self.now, 1)
            if not wait:
                self.meter.take(self.now, 1)
                self.served.append(self.now)
                self.open.append((self.now + LATENCY * STEP, counters))
                continue
            self.refused.append(self.now)
            hold = -(-wait // SECOND)
            self.gate.hold_until = max(self.gate.hold_until, self.now + hold * SECOND)
            signals = Signals(429, 0.0, float(hold), self.readings())
            self.gate.leave(counters, BOUND, Usage(0, 0, 0), signals, self.now)
        # What the ledger keeps is what goes on.
        if self.now % SECOND < STEP:
            self.gate.upstream = Upstream.from_text(self.upstream.to_text())

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * SECOND / STEP)):
            self.step()

    def rate(self, seconds: float) -> float:
        """Calls served a second over the last so many."""
        return sum(at > self.now - seconds * SECOND for at in self.served) / seconds


KINDS: dict[str, Callable[[int, int], Meter]] = {
    "fixed": FixedWindow,
    "sliding": SlidingWindow,
    "bucket": TokenBucket,
}
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("window", [10, 60])
def test_headers_teach_the_rate_and_its_window(kind: str, window: int) -> None:
    world = World(KINDS[kind](window * 4, window * SECOND), headers=True, start=7 * SECOND)
    world.run(240)
    learned = world.upstream.rates.rates["requests"].meter.rate
    assert (learned.amount, learned.window_seconds) == (window * 4, window)
    assert world.upstream.episodes <= 2
    assert world.rate(120) >= 0.9 * 4
    wait = rate_wait(world.gate, BOUND, world.now)
    assert wait is None or wait.bottleneck.startswith("learned requests_per_")


@kinds
def test_a_limit_that_doubles_is_followed_at_the_next_reply(kind: str) -> None:
    world = World(KINDS[kind](240, 60 * SECOND), headers=True)
    world.run(150)
    world.meter = KINDS[kind](480, 60 * SECOND)
    world.run(120)
    assert world.upstream.rates.rates["requests"].meter.rate.amount == 480
    assert world.rate(60) >= 0.85 * 8


@kinds
def test_without_headers_throttling_teaches_and_no_minute_has_two_episodes(kind: str) -> None:
    world = World(KINDS[kind](240, 60 * SECOND), headers=False, callers=40)
    world.run(360)
    pairs = zip([0, *world.refused], world.refused, strict=False)
    episodes = [at for before, at in pairs if at - before > 2 * SECOND]
    print(kind, len(episodes), world.rate(180), world.upstream.cap.cap)
    # After the first, one a minute.
    assert len(episodes) <= 1 + 6
    assert all(b - a >= 55 * SECOND for a, b in itertools.pairwise(episodes[1:]))
    assert world.rate(180) >= 0.6 * 4


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.sampled_from([1, 10, 60]), st.sampled_from(sorted(KINDS)))
def test_what_was_learned_is_kept_as_it_is(limit: int, window: int, kind: str) -> None:
    world = World(KINDS[kind](limit, window * SECOND), headers=bool(limit % 2))
    world.run(15)
    assert Upstream.from_text(world.upstream.to_text()) == world.upstream


def test_what_the_headers_no_longer_say_does_not_hold_any_more() -> None:
    world = World(FixedWindow(40, 10 * SECOND), headers=True)
    world.run(15)
    assert world.upstream.rates.rates
    world.headers = False
    world.meter = FixedWindow(10**6, 10 * SECOND)
    world.run(15)
    assert not world.upstream.rates.rates
    assert world.rate(3) > 20


def test_a_quota_of_a_day_is_no_rate() -> None:
    upstream = Upstream()
    index = upstream.take(BOUND, 10**15, 1)
    reading = RateReading("requests", 1000, 0, 80_000.0)
    upstream.ended(index, BOUND, USAGE, Signals(200, 1.0, 0.0, (reading,)), 10**15 + 1, 1)
    assert upstream.rates.rates == {}


def test_a_429_of_calls_at_once_leaves_the_rates_and_one_of_a_rate_leaves_the_cap() -> None:
    left = RateReading("requests", 1000, 900, 6.0)
    spent = RateReading("requests", 1000, 0, 59.0)
    for reading, capped in ((left, True), (spent, False)):
        upstream = Upstream()
        index = upstream.take(BOUND, 10**15, 8)
        signals = Signals(429, 0.1, 1.0, (reading,))
        upstream.ended(index, BOUND, Usage(0, 0, 0), signals, 10**15 + 1, 8)
        assert (upstream.cap.cap is not None) is capped
        assert ("requests" in upstream.rates.rates) is not capped
        assert upstream.episodes == 1
