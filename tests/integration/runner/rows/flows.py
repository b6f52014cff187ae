# mypy: ignore-errors
"""Flows: how they are made, how they end, generators."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from tests.integration.runner.rows import MakeRunner, outcome, row
from tests.integration.runner.rows.data import double, fail


@row(expect=[2, 4])
def a_runner_by_with_options(make: MakeRunner) -> Any:
    @flow
    def run() -> Any:
        return double.map([1, 2]).result()

    return run.with_options(task_runner=make())()


@row(expect=([2], [2]))
def a_flow_runs_twice_with_one_runner(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        return double.map([1]).result()

    return run(), run()


@row(expect=[4, 4])
def a_subflow_with_another_runner(make: MakeRunner) -> Any:
    @flow(task_runner=ThreadPoolTaskRunner())
    def theirs() -> int:
        return double.submit(2).result()

    @flow(task_runner=make())
    def mine() -> int:
        return double.submit(2).result()

    @flow(task_runner=make())
    def run() -> Any:
        return [theirs(), mine()]

    return run()


@row(expect=["Failed", "Completed", "Failed", "Failed", "Completed"])
def what_a_flow_returns_decides_its_state(make: MakeRunner) -> Any:
    returns = {
        "failed future": lambda: fail.submit("x"),
        "future": lambda: double.submit(1),
        "futures": lambda: [double.submit(1), fail.submit("x")],
        "states": lambda: fail.map(["x"], return_state=True),
        "nothing": lambda: fail.submit("x").wait(),
    }

    @flow(task_runner=make())
    def run(what: str) -> Any:
        return returns[what]()

    return [run(what, return_state=True).name for what in returns]


@row(expect=("Failed", "ValueError: the flow's own", 1))
def a_flow_that_fails_while_tasks_run(make: MakeRunner) -> Any:
    done: list[int] = []

    @task
    async def work() -> None:
        done.append(1)

    @flow(task_runner=make())
    def run() -> None:
        work.submit().wait()
        double.map(range(3))
        raise ValueError("the flow's own")

    state = run(return_state=True)
    error = state.result(raise_on_failure=False)
    return state.name, f"{type(error).__name__}: {error}", len(done)


@row(expect="Failed")
async def an_async_flow_that_fails_while_tasks_run(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    async def run() -> None:
        double.map(range(3))
        raise ValueError("the flow's own")

    return (await run(return_state=True)).name


@row(expect=("Completed", [1, 2]))
def a_flow_that_is_retried(make: MakeRunner) -> Any:
    attempts: list[int] = []

    @task
    async def work() -> int:
        attempts.append(len(attempts) + 1)
        if len(attempts) == 1:
            raise ValueError("the first")
        return len(attempts)

    @flow(task_runner=make(), retries=1)
    def run() -> int:
        return work.submit().result()

    return run(return_state=True).name, attempts


@row()
def a_generator_task_that_is_submitted(make: MakeRunner) -> Any:
    @task
    async def stream() -> Any:
        yield 1

    @task(persist_result=False)
    def stream_sync() -> Any:
        yield 1
        yield 2

    @flow(task_runner=make())
    def run() -> Any:
        seen = []
        for each in (stream, stream_sync):
            future = each.submit()
            seen.append(outcome(future.wait))
            seen.append(outcome(lambda future=future: list(future.result())).split(" at 0x")[0])
        return seen

    return run()


@row(expect=([0, 1, 2], [2, 4]))
def generator_tasks_that_are_called(make: MakeRunner) -> Any:
    @task
    def stream(n: int) -> Any:
        yield from range(n)

    @task
    def consumes(n: int) -> Any:
        return list(stream(n))

    @flow(task_runner=make())
    def run() -> Any:
        return consumes.submit(3).result(), [double.submit(x).result() for x in (1, 2)]

    return run()


@row(expect=([0, 1], 1))
async def async_generator_tasks_that_are_called(make: MakeRunner) -> Any:
    @task
    async def stream(n: int) -> Any:
        for x in range(n):
            yield x

    @task
    async def consumes(n: int) -> Any:
        return [x async for x in stream(n)]

    @flow(task_runner=make())
    async def run() -> Any:
        seen = [x async for x in stream(1)]
        return consumes.submit(2).result(), len(seen)

    return await run()
