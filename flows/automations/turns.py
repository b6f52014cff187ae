"""One run of a flow at work at a time, over all machines, by a limit of Prefect's."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.concurrency.sync import concurrency

from prefect_governor.blocks.leases.prefect_limits import PrefectLimits

# How long the others wait, in seconds; what a process that died holds is given back within 75.
_PATIENCE_SECONDS = 300.0


@contextmanager
def one_at_a_time(flow: str) -> Iterator[None]:
    """What stands in it is done by one run of that flow at a time. Raises TimeoutError."""
    limit = f"governor:{flow}"
    PrefectLimits().create(limit, 1)
    with concurrency(limit, timeout_seconds=_PATIENCE_SECONDS, lease_duration=60, strict=True):
        yield
