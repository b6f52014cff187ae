"""Waiting in tests for what another thread or process brings about."""

import select
import time
from collections.abc import Callable
from typing import IO, Any


def until(what: Callable[[], bool], *, seconds: float = 60) -> float:
    """Waits until it is so; returns the seconds that it took. Fails after `seconds`: only what may
    never come waits so long, so that a slow machine fails nothing."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


def readable(file: IO[Any] | int, seconds: float) -> bool:
    """Whether there is something to read, or its end, within so long. A process of many tests has
    more files open than `select` takes."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))
