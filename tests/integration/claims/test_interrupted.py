"""Slots come back exactly once, wherever an exception lands in the code that takes them and gives
them back: a sync task that runs out of time is interrupted between any two steps."""

import os
import time
from collections.abc import Iterator

import pytest

from tests.profiled import BREAKS
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.warm import WarmParent

# What is taken, and how many steps apart it is interrupted by default: a call has a thousand.
EVERY = {
    "slot": 2,
    "exclusive": 3,
    "task": 3,
    "waiting": 4,
    "reserve": 3,
    "call": 25,
    "stream": 25,
}
# Of each, spread over the time that it takes.
TIMEOUTS = 20
# In all, and so many of each: what talks with a provider takes longer.
MANY = {"slot": 4000, "exclusive": 1500, "task": 1500, "waiting": 1000, "reserve": 1000}
MANY |= {"call": 700, "stream": 300}


@pytest.fixture
def attempts(home: object, warm: WarmParent) -> Iterator[Talk]:
    with ProviderProcess(latency_seconds=0.002, output_tokens=3) as provider:
        environment = {**os.environ, "OPENAI_API_BASE": provider.api_base}
        command = warm.command("-m", "tests.integration.claims.interrupted")
        with Talk(command, env=environment) as talk:
            assert talk.hear(90) == "ready"
            yield talk


def tell(attempts: Talk, seconds: float, **order: object) -> int:
    """The number of attempts; none of them hangs, or leaves anything held."""
    began = time.monotonic()
    attempts.say(order)
    told = attempts.hear(seconds)
    print(f"\n{order['name']}: {told} in {time.monotonic() - began:.1f} s")
    assert told.get("held") == 0, told
    found: int = told["attempts"]
    return found


@BREAKS
def test_nothing_stays_held_wherever_it_is_interrupted(attempts: Talk) -> None:
    done = sum(tell(attempts, 120, name=name, every=every) for name, every in EVERY.items())
    print(f"\n{done} attempts were interrupted, 0 slots are held")
    assert done > 400


def test_nothing_stays_held_whenever_its_time_is_over(attempts: Talk) -> None:
    done = sum(tell(attempts, 120, name=name, times=TIMEOUTS, seed=1) for name in EVERY)
    print(f"\n{done} attempts under timeouts, 0 slots are held")
    assert done == TIMEOUTS * len(EVERY)


@pytest.mark.chaos
def test_nothing_stays_held_after_ten_thousand_timeouts(attempts: Talk) -> None:
    assert sum(MANY.values()) == 10_000
    done = sum(
        tell(attempts, 1800, name=name, times=times, seed=times) for name, times in MANY.items()
    )
    print(f"\n{done} attempts under timeouts, 0 slots are held")


@pytest.mark.chaos
@BREAKS
def test_nothing_stays_held_at_whichever_step_it_is_interrupted(attempts: Talk) -> None:
    done = sum(
        tell(attempts, 1800, name=name, every=1) for name, every in EVERY.items() if every < 9
    )
    print(f"\n{done} attempts interrupted at every step of theirs, 0 slots are held")
