"""Python's garbage collector, where modules are imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def growing() -> Iterator[None]:
    """Not collected while this lasts: what an import makes stays, and looking through all of it
    again and again is a fifth of the time of importing LiteLLM after Prefect."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
