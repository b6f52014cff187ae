"""An item that shares a task run is tried again as often as one that Prefect tries again."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.errors import OverBudget, RunStopped
from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.flows.subagent.retrying import BACKOFF_SECONDS, RETRIES, RETRYING, retried

CUT = httpx.ReadTimeout("nothing came")


class Waits(Stop):
    """Waits for nothing, and remembers for how long it would have."""

    def __init__(self, meanwhile: Callable[["Waits"], None] = lambda stop: None) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._meanwhile = meanwhile

    async def wait_async(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._meanwhile(self)


def tried(
    errors: list[Exception | None], stop: Waits, jitter: float = 0.5
) -> tuple[int, Any, list[int]]:
    """The attempts that were made, what came of them, and those that were told of."""
    attempts: list[int] = []
    told: list[int] = []

    async def attempt(number: int) -> str:
        attempts.append(number)
        error = errors[min(number, len(errors)) - 1]
        if error is not None:
            raise error
        return "an answer"

    def say(number: int, seconds: float, error: Exception) -> None:
        told.append(number)
        assert seconds > 0 and isinstance(error, httpx.ReadTimeout)

    came: Any
    try:
        came = asyncio.run(retried(attempt, stop=stop, say=say, jitter=lambda: jitter))
    except Exception as error:
        came = error
    assert attempts == list(range(1, len(attempts) + 1))
    return len(attempts), came, told


def test_what_can_succeed_is_tried_again_until_it_does() -> None:
    stop = Waits()
    assert tried([CUT, CUT, None], stop) == (3, "an answer", [1, 2])
    assert stop.waited == [1.5 * BACKOFF_SECONDS, 3 * BACKOFF_SECONDS]


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_it_is_tried_as_often_and_after_as_long_as_prefect_would(jitter: float) -> None:
    stop = Waits()
    count, came, _ = tried([CUT], stop, jitter)
    assert (count, came) == (RETRIES + 1, CUT)
    least = RETRYING["retry_delay_seconds"](RETRIES)
    most = [each * (1 + RETRYING["retry_jitter_factor"]) for each in least]
    assert all(a <= each <= b for a, each, b in zip(least, stop.waited, most, strict=True))
    assert all(later > sooner for sooner, later in pairwise(stop.waited))


@pytest.mark.parametrize("error", [OverBudget("the ceiling"), ValueError("it is wrong")])
def test_what_no_repetition_can_change_is_tried_once(error: Exception) -> None:
    assert tried([error], Waits()) == (1, error, [])


def test_after_a_stop_nothing_is_tried_again() -> None:
    stop = Waits(lambda stop: stop.set("a person stopped it"))
    count, came, _ = tried([CUT], stop)
    assert count == 1 and isinstance(came, RunStopped) and "a person stopped it" in str(came)
    stopped = Waits()
    stopped.set()
    assert tried([CUT], stopped)[:2] == (1, CUT)
