"""Whether what is sent here comes from a governed transport: it is not looked at twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class _Sent:
    """One sending. `open` until it is over: a task that was begun within it keeps its context."""

    open: bool = True


_sent: ContextVar[_Sent | None] = ContextVar("prefect_governor_sent", default=None)


@contextmanager
def sending() -> Iterator[None]:
    """What the code inside sends is an admitted call, or is passed on as it is."""
    token = _sent.set(mark := _Sent())
    try:
        yield
    finally:
        mark.open = False
        _sent.reset(token)


def is_sending() -> bool:
    """Whether the code runs inside `sending`."""
    mark = _sent.get()
    return mark is not None and mark.open
