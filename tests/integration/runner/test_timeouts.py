"""A task's timeout, at the edges of its attempts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import flow, task

from prefect_governor import GovernedTaskRunner
from prefect_governor.blocks.prefect_internals.interrupts import TaskRunTimeoutError
from prefect_governor.flows.runner import engine

pytestmark = pytest.mark.usefixtures("quick_flows")


@task(timeout_seconds=60, retries=1)
def in_thread() -> str:
    return "done"


@task(timeout_seconds=60, retries=1)
async def in_coroutine() -> str:
    return "done"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("work", "way"),
    [(in_thread, "timeout_of_thread"), (in_coroutine, "timeout_of_coroutine")],
    ids=["in_thread", "in_coroutine"],
)
def test_an_attempt_whose_time_is_over_before_it_begins_timed_out_and_is_tried_again(
    work: Any, way: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    over: list[float] = []
    ours = getattr(engine, way)

    @contextmanager
    def timeout(seconds: float) -> Iterator[None]:
        if len(over) < times:
            over.append(seconds)
            raise TaskRunTimeoutError("Scope timed out")
        with ours(seconds):
            yield

    monkeypatch.setattr(engine, way, timeout)

    @flow(task_runner=GovernedTaskRunner())
    def run() -> str:
        return str(work.submit(return_state=True).name)

    assert run() == ("Completed" if times == 1 else "TimedOut")
    assert over == [60] * times
