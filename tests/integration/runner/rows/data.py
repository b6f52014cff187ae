# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: ignore-errors
"""What goes into tasks and comes out of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from prefect import allow_failure, flow, task, unmapped
from prefect.states import Completed, Failed
from prefect.utilities.annotations import opaque, quote

from tests.integration.runner.rows import MakeRunner, outcome, row


@task
async def double(x: int) -> int:
    return x * 2


@task
def double_sync(x: int) -> int:
    return x * 2


@task
async def add(x: int, y: int = 10) -> int:
    return x + y


@task
async def fail(message: str) -> None:
    raise ValueError(message)


@task
async def describe(x: Any) -> str:
    return f"{type(x).__name__}: {x}"


@row(expect=([0, 2, 4, 6, 8], [0, 2, 4, 6, 8]))
def map_keeps_the_order_in_a_sync_flow(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        return double.map(range(5)).result(), double_sync.map(range(5)).result()

    return run()


@row(expect=([0, 2, 4, 6, 8], [0, 2, 4, 6, 8]))
async def map_keeps_the_order_in_an_async_flow(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    async def run() -> Any:
        return double.map(range(5)).result(), double_sync.map(range(5)).result()

    return await run()


@row(expect=[("FAILED", "0 is even"), ("COMPLETED", "1"), ("FAILED", "2 is even")])
def map_returns_states_and_the_exceptions_in_them(make: MakeRunner) -> Any:
    @task
    async def odd_only(x: int) -> int:
        if x % 2 == 0:
            raise ValueError(f"{x} is even")
        return x

    @flow(task_runner=make())
    def run() -> Any:
        states = odd_only.map(range(3), return_state=True)
        return [(s.type.value, str(s.result(raise_on_failure=False))) for s in states]

    return run()


@row(expect=([6, 7], [11, 12], [102, 104], [12, 24]))
def map_takes_unmapped_defaults_futures_and_keywords(make: MakeRunner) -> Any:
    @task
    def keywords(**numbers: int) -> int:
        return sum(numbers.values())

    @flow(task_runner=make())
    def run() -> Any:
        return (
            add.map([1, 2], y=unmapped(5)).result(),
            add.map([1, 2]).result(),
            add.map(double.map([1, 2]), y=unmapped(double.submit(50))).result(),
            keywords.map(a=[2, 4], b=[10, 20]).result(),
        )

    return run()


@row()
def map_refuses_what_cannot_be_mapped(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        return (
            outcome(lambda: add.map([1, 2], y=[1])),
            outcome(lambda: add.map(1)),
            outcome(lambda: double.map([]).result()),
        )

    return run()


@row(expect=(2 + 4 + 20, 6, {"a": 2, "b": [4]}))
def futures_at_any_depth_are_resolved(make: MakeRunner) -> Any:
    @dataclasses.dataclass
    class Pair:
        left: Any
        right: Any

    @task
    async def total(numbers: list[int], extra: dict[str, Any]) -> int:
        return sum(numbers) + sum(extra.values())

    @task
    def of_pair(pair: Pair) -> int:
        return pair.left + pair.right["deep"][0]

    @task
    def same(x: Any) -> Any:
        return x

    @flow(task_runner=make())
    def run() -> Any:
        numbers = [double.submit(1), double_sync.submit(2)]
        return (
            total.submit(numbers, {"deep": double.submit(10)}).result(),
            of_pair.submit(Pair(double.submit(1), {"deep": (double.submit(2),)})).result(),
            same.submit({"a": double.submit(1), "b": [double.submit(2)]}).result(),
        )

    return run()


@row(expect=("ValueError: no", ["ValueError: no", "int: 2"]))
def allow_failure_hands_the_exception_on(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        failed = fail.submit("no")
        return (
            describe.submit(allow_failure(failed)).result(),
            describe.map(allow_failure([failed, double.submit(1)])).result(),
        )

    return run()


@row(expect=("list of future", "list of future"))
def quote_and_opaque_are_handed_over_unresolved(make: MakeRunner) -> Any:
    @task
    def kind(x: Any) -> str:
        return f"{type(x).__name__} of {'future' if hasattr(x[0], 'wait') else type(x[0])}"

    @flow(task_runner=make())
    def run() -> Any:
        return (
            kind.submit(quote([double.submit(1)])).result(),
            kind.submit(opaque([double.submit(1)])).result(),
        )

    return run()


@row()
def none_exceptions_and_states_as_results(make: MakeRunner) -> Any:
    results = {
        "none": lambda: None,
        "exception": lambda: ValueError("returned"),
        "failed": lambda: Failed(message="said so"),
        "completed": lambda: Completed(name="Partial", data=3),
        "states": lambda: [Completed(data=1), Failed(message="one")],
        "generator": lambda: (x for x in range(3)),
    }

    @task(persist_result=False)
    async def give(what: str) -> Any:
        return results[what]()

    @task(persist_result=False)
    def give_sync(what: str) -> Any:
        return results[what]()

    def seen(state: Any) -> str:
        result = outcome(lambda: state.result(raise_on_failure=False))
        return f"{state.name}: {result.split(' at 0x')[0].split('(id=')[0]}"

    @flow(task_runner=make())
    def run() -> Any:
        return [
            seen(each.submit(what, return_state=True))
            for each in (give, give_sync)
            for what in results
        ]

    return run()


@row()
def a_task_that_returns_a_future(make: MakeRunner) -> Any:
    @task(persist_result=False)
    async def gives() -> Any:
        return double.submit(4)

    @task(persist_result=False)
    def gives_sync() -> Any:
        return [double.submit(4)]

    @flow(task_runner=make())
    def run() -> Any:
        future, futures = gives.submit().result(), gives_sync.submit().result()
        return future.result(), [each.result() for each in futures]

    return run()


@row()
def exceptions_that_cannot_be_pickled(make: MakeRunner) -> Any:
    class Unpicklable(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("never")

    @task(persist_result=False)
    async def raises() -> None:
        raise Unpicklable("async")

    @task
    def raises_sync() -> None:
        raise Unpicklable("sync")

    @flow(task_runner=make())
    def run() -> Any:
        return [outcome(lambda each=each: each.submit().result()) for each in (raises, raises_sync)]

    return run()


@row(expect=["double-of-3", "renamed 4", "double-of-6"])
def names_of_runs_follow_their_template(make: MakeRunner) -> Any:
    from prefect.runtime import task_run

    @task(task_run_name="double-of-{x}")
    async def named(x: int) -> str:
        return task_run.name

    @task(task_run_name=lambda: f"renamed {task_run.parameters['x']}")
    def named_by_function(x: int) -> str:
        return task_run.name

    @flow(task_runner=make())
    def run() -> Any:
        return [
            named.submit(3).result(),
            named_by_function.submit(4).result(),
            named.submit(double.submit(3)).result(),
        ]

    return run()
