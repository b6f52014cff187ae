"""Waiting in tests for what another thread or process brings about."""

import select
import time
from collections.abc import Callable
from typing import IO, Any

# Between two looks at what a Prefect server says: each is a fiftieth of a second of a core.
A_LOOK_AT_THE_SERVER = 0.2


def until(what: Callable[[], bool], *, seconds: float = 60, every: float = 0.02) -> float:
    """Waits until it is so; returns the seconds that it took. Fails after `seconds`: only what may
    never come waits so long, so that a slow machine fails nothing. Looks `every` so many."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(every)
    return time.monotonic() - began


def readable(file: IO[Any] | int, seconds: float) -> bool:
    """Whether there is something to read, or its end, within so long. A process of many tests has
    more files open than `select` takes."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))
