"""How the tasks of the ready flows are retried, where it can help: by Prefect, and in the same way
here where several items share a task run."""

import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.blocks.machine.text import storable_error
from prefect_governor.blocks.models.failures import is_final, worth_a_retry
from prefect_governor.blocks.secrets.exits import scrubbed_error

T = TypeVar("T")

RETRIES = 3
# Seconds before the first retry; doubled for each further one, plus up to as much in jitter.
BACKOFF_SECONDS = 1.0


def _worth_it(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, BaseException) and worth_a_retry(state.data)


# Options of `prefect.task` where it retries nothing.
ONCE: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
# And where it does. What finished is kept by the ledger, in the transaction that settles
# it, so that Prefect's own results are not needed.
RETRYING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=BACKOFF_SECONDS),
    "retry_jitter_factor": 1.0,
    "retry_condition_fn": _worth_it,
    **ONCE,
}


async def retried(
    attempt: Callable[[int], Awaitable[T]],
    *,
    stop: Stop,
    say: Callable[[int, float, Exception], None],
    jitter: Callable[[], float] = random.random,
) -> T:
    """What the first attempt that succeeds gives; each is told its number, from 1.

    `say` is told of one that failed and is followed by another: its number, the seconds until then,
    and why. Raises what the last one did, its text as the API takes it and without a secret;
    RunStopped where the run was stopped meanwhile.
    """
    for number in count(1):
        try:
            return await attempt(number)
        except Exception as raised:
            error = scrubbed_error(storable_error(raised))
            final = is_final(error) or not worth_a_retry(error)
            if final or number > RETRIES or stop.is_set():
                raise error from error.__cause__
        seconds = BACKOFF_SECONDS * 2 ** (number - 1) * (1 + jitter())
        say(number, seconds, error)
        await stop.wait_async(seconds)
        if stop.is_set():
            raise stop.refusal()
    raise AssertionError("attempts do not run out")
