# mypy: ignore-errors
"""Results that are kept, caches and transactions."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from prefect.transactions import transaction

from tests.integration.runner.rows import MakeRunner, outcome, row
from tests.integration.runner.rows.data import double


def _cached(make: MakeRunner, **options: Any) -> Any:
    """States of two runs with one input, then with another; async and sync; what was computed."""
    computed: list[int] = []
    salt = time.time_ns()

    @task(**options)
    async def compute(x: int, salt: int) -> int:
        computed.append(x)
        return x

    @task(**options)
    def compute_sync(x: int, salt: int) -> int:
        computed.append(x)
        return x

    @flow(task_runner=make())
    def run() -> Any:
        return [
            each.submit(x, salt=salt + at, return_state=True).name
            for at, each in enumerate((compute, compute_sync))
            for x in (7, 7, 8)
        ]

    return run(), computed


@row(expect=(["Completed", "Cached", "Completed"] * 2, [7, 8, 7, 8]))
def a_cached_result_is_not_computed_again(make: MakeRunner) -> Any:
    return _cached(make, cache_policy=INPUTS, persist_result=True)


@row(expect=(["Completed"] * 6, [7, 7, 8, 7, 7, 8]))
def no_cache_computes_again(make: MakeRunner) -> Any:
    return _cached(make, cache_policy=NO_CACHE, persist_result=True)


@row(expect=(["Completed"] * 6, [7, 7, 8, 7, 7, 8]))
def refresh_cache_computes_again(make: MakeRunner) -> Any:
    return _cached(make, cache_policy=INPUTS, persist_result=True, refresh_cache=True)


@row(expect=(["Completed", "Cached", "Completed"] * 2, [7, 8, 7, 8]))
def policies_combine(make: MakeRunner) -> Any:
    return _cached(make, cache_policy=INPUTS + TASK_SOURCE, persist_result=True)


@row(expect=(["Completed", "Cached", "Completed"] * 2, [7, 8, 7, 8]))
def a_cache_key_function(make: MakeRunner) -> Any:
    return _cached(make, cache_key_fn=lambda context, inputs: str(sorted(inputs.items())))


@row(expect=("from the flow's run", 6))
def a_result_is_kept_and_read_by_another_flow(make: MakeRunner) -> Any:
    key = f"kept-{time.time_ns()}"

    @task(persist_result=True, result_storage_key=key)
    async def keep(what: str) -> str:
        return what

    @flow(task_runner=make())
    def run(what: str) -> Any:
        return keep.submit(what).result(), double.submit(3).result()

    run("from the flow's run")
    return run("computed again")


@row(expect=["committed", "rolled back second", "rolled back first"])
def transactions_commit_and_roll_back(make: MakeRunner) -> Any:
    seen: list[str] = []

    def _task(name: str, is_async: bool) -> Any:
        def sync_body() -> None: ...

        async def async_body() -> None: ...

        work = task(name=name, persist_result=False)(async_body if is_async else sync_body)

        @work.on_rollback
        def rolled_back(txn: Any) -> None:
            seen.append(f"rolled back {name}")

        return work

    @task
    async def commits() -> None: ...

    @commits.on_commit
    def committed(txn: Any) -> None:
        seen.append("committed")

    first, second = _task("first", False), _task("second", True)

    @flow(task_runner=make())
    def run() -> None:
        with transaction():
            commits.submit().wait()
        with transaction():
            first.submit().wait()
            second.submit().wait()
            raise ValueError("after both")

    outcome(run)
    return seen


@row()
def a_result_that_cannot_be_kept(make: MakeRunner) -> Any:
    @task(persist_result=True)
    async def gives() -> Any:
        return lambda: (x for x in iter(int, 1))

    @task(persist_result=True)
    def gives_lock() -> Any:
        import threading

        return threading.Lock()

    @flow(task_runner=make())
    def run() -> Any:
        return [each.submit(return_state=True).name for each in (gives, gives_lock)]

    return run()
