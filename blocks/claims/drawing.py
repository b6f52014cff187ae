"""Money that this machine has to draw before it can be set aside."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from prefect_governor.blocks.errors import OverBudget

T = TypeVar("T")

# How long it is waited for, in seconds, and how often it is looked for.
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.1


def once_drawn(
    ask: Callable[[], "Future[T]"], wait: Callable[["Future[T]"], T] = Future.result
) -> T:
    """What `ask` answers, asked again while what it sets aside is not drawn yet. Where a ledger has
    nothing to draw, it is asked once.

    Raises OverBudget where it is not there, or could not be drawn in time.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return wait(ask())
        except OverBudget as error:
            if not error.drawable or time.monotonic() >= until:
                raise
        time.sleep(LOOK_SECONDS)
