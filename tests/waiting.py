"""Waiting in tests for what another thread or process brings about."""

import time
from collections.abc import Callable


def until(what: Callable[[], bool], *, seconds: float = 60) -> float:
    """Waits until it is so; returns the seconds that it took. Fails after `seconds`: only what may
    never come waits so long, so that a slow machine fails nothing."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began
