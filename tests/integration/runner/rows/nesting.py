# mypy: ignore-errors
"""Tasks called from tasks, and flows in flows and tasks."""

from __future__ import annotations

from typing import Any

from prefect import flow, task

from tests.integration.runner.rows import PATIENCE_SECONDS, MakeRunner, row
from tests.integration.runner.rows.data import double, double_sync


@task
async def leaf(x: int) -> int:
    return x + 1


@task
def leaf_sync(x: int) -> int:
    return x + 1


@row(expect=[6, 9, 6, 9, 12])
def three_levels_that_wait_for_their_children(make: MakeRunner) -> Any:
    @task
    async def middle(x: int) -> int:
        return leaf.submit(x).result(timeout=PATIENCE_SECONDS) + sum(leaf.map([x, x]).result())

    @task
    def top(x: int) -> int:
        return middle.submit(x).result(timeout=PATIENCE_SECONDS)

    @task
    async def top_async(x: int) -> int:
        return middle.submit(x).result(timeout=PATIENCE_SECONDS)

    @flow(task_runner=make())
    def run() -> Any:
        return top.map([1, 2]).result() + top_async.map([1, 2, 3]).result()

    return run()


@row(expect=[24, 24, 24])
def three_levels_of_map(make: MakeRunner) -> Any:
    @task
    def middle(x: int) -> int:
        return sum(leaf_sync.map([x] * 2).result())

    @task
    def top(x: int) -> int:
        return sum(middle.map([x] * 2).result())

    @flow(task_runner=make())
    def run() -> Any:
        return top.map([5] * 3).result()

    return run()


@row(expect=(3, 3, 3, 3))
def tasks_called_directly_in_tasks_and_flows(make: MakeRunner) -> Any:
    @task
    async def calls(x: int) -> int:
        return await leaf(x)

    @task
    async def calls_sync(x: int) -> int:
        return leaf_sync(x)

    @task
    def sync_calls_sync(x: int) -> int:
        return leaf_sync(x)

    @flow(task_runner=make())
    def run() -> Any:
        futures = [each.submit(2) for each in (calls, calls_sync, sync_calls_sync)]
        return (*(future.result() for future in futures), leaf_sync(2))

    return run()


@row(expect=[[2, 4], [10, 12]])
def an_async_flow_in_an_async_task(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    async def inner(x: int) -> list[int]:
        return double.map([x, x + 1]).result()

    @task
    async def outer(x: int) -> list[int]:
        return await inner(x)

    @flow(task_runner=make())
    def run() -> Any:
        return outer.map([1, 5]).result()

    return run()


@row(expect=[[2, 4], [10, 12]])
def a_sync_flow_in_a_sync_task(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def inner(x: int) -> list[int]:
        return double_sync.map([x, x + 1]).result()

    @task
    def outer(x: int) -> list[int]:
        return inner(x)

    @flow(task_runner=make())
    def run() -> Any:
        return outer.map([1, 5]).result()

    return run()


@row(expect=[2, 4, 6])
def a_sync_flow_in_a_sync_flow(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def inner(numbers: list[int]) -> list[int]:
        return double.map(numbers).result()

    @flow(task_runner=make())
    def run() -> Any:
        return inner([1, 2, 3])

    return run()


@row(expect=[[2, 4], [6, 8]])
async def async_flows_in_an_async_flow_at_once(make: MakeRunner) -> Any:
    import asyncio

    @flow(task_runner=make())
    async def inner(numbers: list[int]) -> list[int]:
        return double.map(numbers).result()

    @flow(task_runner=make())
    async def run() -> Any:
        return await asyncio.gather(inner([1, 2]), inner([3, 4]))

    return await run()


@row(expect=[4])
def a_future_of_a_parent_is_used_by_its_child(make: MakeRunner) -> Any:
    @task
    def parent() -> int:
        first = double.submit(1)
        return double_sync.submit(first, wait_for=[first]).result()

    @flow(task_runner=make())
    def run() -> Any:
        return [parent.submit().result()]

    return run()


@row(expect=(2, ["parent", "child"]))
def a_child_knows_its_parent(make: MakeRunner) -> Any:
    from prefect.context import TaskRunContext

    @task
    def child() -> Any:
        run = TaskRunContext.get().task_run
        return run.id, [each.id for each in run.task_inputs.get("__parents__", [])]

    @task
    async def parent() -> Any:
        return TaskRunContext.get().task_run.id, child.submit().result()

    @flow(task_runner=make())
    def run() -> Any:
        parent_id, (child_id, parents) = parent.submit().result()
        names = {parent_id: "parent", child_id: "child"}
        return len(names), [*(names[each] for each in parents), names[child_id]]

    return run()
