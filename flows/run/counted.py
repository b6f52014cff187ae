"""Whose limits the task runs of a ready flow count under."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.run.job import TAG


@contextmanager
def counted_under(runtime: Runtime, *, kept_as: str) -> Iterator[None]:
    """What is submitted inside takes its slots under the limits of the run's governor that count
    task runs. They are asked for before the task's own code begins, which has a scope of its own.
    Where that governor has none, they are those of whatever the flow was called under."""
    if not runtime.counts_tasks:
        yield
        return
    with scope(Scope(governor=runtime, tags=(TAG,), run_id=kept_as)):
        yield
