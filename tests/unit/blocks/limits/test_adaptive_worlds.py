"""The adaptive cap in worlds of many calls: what must not cut it does not, what must does, and once
it is over as many go as before."""

from math import sqrt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.blocks.limits.demanding import World, log_normal, saturated

# Chance is in them: the same worlds each time, so that a bound is met or not for a reason.
worlds = settings(
    deadline=None,
    max_examples=30,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@worlds
@given(
    demand=st.sampled_from([3, 10, 50, 200]),
    spread=st.floats(0.0, 1.2),
    median=st.floats(0.3, 5.0),
    seed=st.integers(0, 10**6),
)
def test_a_tenth_of_5xx_and_answers_of_any_length_never_hold_calls_back(
    demand: int, spread: float, median: float, seed: int
) -> None:
    world = World(demand=demand, latency=log_normal(median, spread), seed=seed, fails=0.1)
    world.run(60 * median)
    assert min(world.caps) >= 0.9 * demand


@settings(worlds, max_examples=15)
@given(
    knee=st.sampled_from([8, 20, 50]),
    times=st.integers(3, 8),
    spread=st.floats(0.05, 0.5),
    seed=st.integers(0, 10**6),
)
def test_a_provider_that_saturates_is_held_near_its_knee(
    knee: int, times: int, spread: float, seed: int
) -> None:
    world = World(demand=knee, latency=saturated(1.0, spread, lambda: knee), seed=seed)
    world.run(60)
    assert world.cap.cap is None
    world.demand = times * knee
    world.run(200)
    assert world.cap.cause == "latency"
    late = world.caps[-60:]
    assert 0.6 * knee <= min(late)
    assert max(late) <= 3 * knee


def test_a_provider_that_gets_its_strength_back_is_used_in_full_again() -> None:
    knee = [200]
    world = World(demand=200, latency=saturated(1.0, 0.3, lambda: knee[0]))
    world.run(30)
    knee[0] = 40
    world.run(60)
    assert max(world.caps[-20:]) <= 100
    knee[0] = 200
    world.run(60)
    assert world.caps[-1] == 200


@worlds
@given(demand=st.sampled_from([10, 50, 200]), seed=st.integers(0, 10**6))
def test_a_burst_of_5xx_cuts_and_when_it_is_over_all_go_again_within_round_trips(
    demand: int, seed: int
) -> None:
    world = World(demand=demand, latency=log_normal(1.0, 0.3), seed=seed)
    world.run(10)
    world.fails = 1.0
    world.run(3)
    assert world.cap.cause == "errors"
    assert world.caps[-1] < 0.5 * demand
    world.fails = 0.0
    world.run(10)
    assert world.caps[-1] >= 0.9 * demand
    world.run(5)
    assert world.cap.cap is None, "nobody throttled: nothing is known of a limit"


def test_5xx_for_every_call_above_a_number_end_near_that_number() -> None:
    world = World(demand=200, latency=log_normal(1.0, 0.2))
    for _ in range(1200):
        # Those above are refused in the way of a provider that is overloaded.
        world.fails = 1.0 if world.in_flight >= 100 else 0.0
        world.until(world.now + 10**8)
    caps = []
    for _ in range(600):
        world.fails = 1.0 if world.in_flight >= 100 else 0.0
        caps.append(world.until(world.now + 10**8))
    assert min(caps) >= 65
    assert max(caps) <= 130


@pytest.mark.parametrize("seen", [True, False])
def test_a_process_in_four_that_stands_still_again_and_again_cuts_nothing(seen: bool) -> None:
    world = World(demand=200, latency=log_normal(1.0, 0.1))
    world.run(10)
    for _ in range(20):
        world.stall(0.25, 5.0, seen=seen)
        world.run(4)
    assert min(world.caps) == 200


def test_answers_that_become_longer_by_themselves_hold_calls_back_for_a_moment_only() -> None:
    factor = [1.0]

    def latency(world: World) -> float:
        return factor[0] * world.chance.lognormvariate(0.0, 0.3)

    world = World(demand=50, latency=latency)
    world.run(30)
    factor[0] = 6.0
    world.run(120)
    assert world.cap.cause == "latency", "nothing was tried"
    assert sum(world.caps[-120:]) >= 0.7 * 120 * 50
    assert min(world.caps[-60:]) == 50


def test_longer_answers_that_hold_more_tokens_are_not_slow() -> None:
    factor = [1]

    def latency(world: World) -> float:
        return factor[0] * world.chance.lognormvariate(0.0, 0.3)

    world = World(demand=50, latency=latency)
    world.run(30)
    factor[0] = 6
    world.output_tokens *= 6
    world.run(120)
    assert min(world.caps) == 50


def test_a_provider_that_serves_more_if_slower_is_not_held_back() -> None:
    """Twice as many calls take 1.4 times as long: held to half of them, less would be served."""

    def latency(world: World) -> float:
        return sqrt(world.in_flight + 1) * world.chance.lognormvariate(0.0, 0.2)

    world = World(demand=10, latency=latency)
    world.run(200)
    world.demand = 200
    world.run(300)
    assert world.cap.cause == "latency", "it was not tried"
    assert min(world.caps[-60:]) == 200
