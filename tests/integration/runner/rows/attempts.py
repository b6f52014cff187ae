# mypy: ignore-errors
"""Retries, timeouts and cancellation."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from prefect import flow, task
from prefect.context import get_run_context

from tests.integration.runner.rows import MakeRunner, outcome, row
from tests.integration.runner.rows.data import double


def _flaky(failures: int, seen: list[int], **options: Any) -> tuple[Any, Any]:
    def body() -> int:
        seen.append(get_run_context().task_run.run_count)
        if len(seen) <= failures:
            raise ConnectionError("again")
        return len(seen)

    @task(**options)
    async def flaky() -> int:
        return body()

    @task(**options)
    def flaky_sync() -> int:
        return body()

    return flaky, flaky_sync


def _attempts(make: MakeRunner, failures: int, **options: Any) -> list[Any]:
    def observed(work: Any, seen: list[int]) -> Any:
        state = work.submit(return_state=True)
        return state.name, outcome(lambda: state.result(raise_on_failure=False)), tuple(seen)

    @flow(task_runner=make())
    def run() -> Any:
        of_async: list[int] = []
        of_sync: list[int] = []
        return [
            observed(_flaky(failures, of_async, **options)[0], of_async),
            observed(_flaky(failures, of_sync, **options)[1], of_sync),
        ]

    return run()


@row(expect=[("Completed", "3", (1, 2, 3))] * 2)
def retries_at_once(make: MakeRunner) -> Any:
    return _attempts(make, 2, retries=2)


@row(expect=[("Completed", "3", (1, 2, 3))] * 2)
def retries_after_a_delay_with_jitter(make: MakeRunner) -> Any:
    return _attempts(make, 2, retries=2, retry_delay_seconds=0.01, retry_jitter_factor=0.5)


@row(expect=[("Completed", "4", (1, 2, 3, 4))] * 2)
def retries_after_delays_from_a_list(make: MakeRunner) -> Any:
    return _attempts(make, 3, retries=3, retry_delay_seconds=[0.01, 0.02])


@row(expect=[("Failed", "ConnectionError('again')", (1, 2))] * 2)
def retries_that_are_exhausted(make: MakeRunner) -> Any:
    return _attempts(make, 9, retries=1)


@row(expect=[("Failed", "ConnectionError('again')", (1,))] * 2)
def a_retry_condition_ends_the_retries(make: MakeRunner) -> Any:
    return _attempts(make, 9, retries=5, retry_condition_fn=lambda task, run, state: False)


@row(expect=[("Failed", "ConnectionError('again')", (1, 2, 3))] * 2)
def an_async_retry_condition(make: MakeRunner) -> Any:
    async def twice(task: Any, run: Any, state: Any) -> bool:
        return run.run_count < 3

    return _attempts(make, 9, retries=5, retry_condition_fn=twice)


@row(expect=[("Failed", "ConnectionError('again')", (1,))] * 2)
def a_retry_condition_that_raises_is_no_retry(make: MakeRunner) -> Any:
    return _attempts(make, 9, retries=5, retry_condition_fn=lambda task, run, state: 1 / 0)


@row(expect=("TimedOut", "TaskRunTimeoutError('Scope timed out after 0.05 second(s).')", 2))
def a_timeout_ends_an_async_task(make: MakeRunner) -> Any:
    @task(timeout_seconds=0.05)
    async def forever() -> None:
        await asyncio.Event().wait()

    @flow(task_runner=make())
    def run() -> Any:
        state = forever.submit(return_state=True)
        return (
            state.name,
            outcome(lambda: state.result(raise_on_failure=False)),
            double.submit(1).result(),
        )

    return run()


@row(expect=("TimedOut", 2))
def a_timeout_ends_a_sync_task_between_two_steps(make: MakeRunner) -> Any:
    @task(timeout_seconds=0.05)
    def forever() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.01)

    @flow(task_runner=make())
    def run() -> Any:
        return forever.submit(return_state=True).name, double.submit(1).result()

    return run()


@row(expect=["Completed", "Completed", "TimedOut", "TimedOut", "Failed"])
def timeouts_that_are_not_reached_swallowed_or_raised_by_hand(make: MakeRunner) -> Any:
    @task(timeout_seconds=60)
    async def quick() -> int:
        return 1

    @task(timeout_seconds=60)
    def quick_sync() -> int:
        return 1

    @task(timeout_seconds=0.05)
    async def swallows() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"

    @task(timeout_seconds=60)
    async def by_hand() -> None:
        raise TimeoutError("mine")

    @task(timeout_seconds=0.05)
    async def fails_first() -> None:
        raise ValueError("before")

    @flow(task_runner=make())
    def run() -> Any:
        return [
            each.submit(return_state=True).name
            for each in (quick, quick_sync, swallows, by_hand, fails_first)
        ]

    return run()


@row(expect=("Completed", 2))
def each_attempt_has_the_whole_timeout(make: MakeRunner) -> Any:
    attempts: list[int] = []

    @task(timeout_seconds=0.2, retries=1)
    async def second_is_quick() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return 2

    @flow(task_runner=make())
    def run() -> Any:
        state = second_is_quick.submit(return_state=True)
        return state.name, state.result()

    return run()


@row()
def a_task_that_cancels_itself(make: MakeRunner) -> Any:
    @task
    async def cancels() -> None:
        raise asyncio.CancelledError

    @flow(task_runner=make())
    def run() -> Any:
        future, other = cancels.submit(), double.submit(4)
        raised = outcome(future.wait).split(":")[0]
        return raised, other.result()

    return run()


@row(expect=[("raised SystemExit", 8), ("raised KeyboardInterrupt", 8)] * 2)
def what_would_end_the_process_is_that_tasks_alone(make: MakeRunner) -> Any:
    @task
    async def ends(kind: Any) -> None:
        raise kind(3)

    @task
    def ends_sync(kind: Any) -> None:
        raise kind(3)

    @flow(task_runner=make())
    def run() -> Any:
        seen = []
        for each in (ends, ends_sync):
            for kind in (SystemExit, KeyboardInterrupt):
                future, other = each.submit(kind), double.submit(4)
                seen.append((outcome(future.wait).split(":")[0], other.result()))
        return seen

    return run()
