# mypy: ignore-errors
"""Order and waiting: dependencies, callbacks, timeouts of a wait."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from prefect import flow, task
from prefect.futures import as_completed, wait

from tests.integration.runner.rows import PATIENCE_SECONDS, MakeRunner, outcome, row
from tests.integration.runner.rows.data import double, double_sync, fail


def gated(gate: threading.Event, value: Any = "gated") -> Any:
    @task
    async def waits_for_the_gate() -> Any:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)
        return value

    return waits_for_the_gate


@row(expect=(2**4, 42))
def a_chain_of_futures_does_not_block_what_it_waits_for(make: MakeRunner) -> Any:
    gate = threading.Event()

    @flow(task_runner=make())
    def run() -> Any:
        first = future = gated(gate, 1).submit()
        for each in (double, double_sync, double, double):
            future = each.submit(future)
        after = double.submit(21, wait_for=[first])
        gate.set()
        return future.result(timeout=PATIENCE_SECONDS), after.result(timeout=PATIENCE_SECONDS)

    return run()


@row(expect=["first", "second", "third", "fourth"])
def wait_for_orders_without_passing_data(make: MakeRunner) -> Any:
    seen: list[str] = []
    gate = threading.Event()

    @task
    async def first() -> None:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)
        seen.append("first")

    @task
    def note(what: str) -> None:
        seen.append(what)

    @task
    async def note_async(what: str) -> None:
        seen.append(what)

    @flow(task_runner=make())
    def run() -> None:
        second = note.submit("second", wait_for=[first.submit()])
        third = note_async.submit("third", wait_for=second)
        fourth = note.map(["fourth"], wait_for=[[third], {"x": second}])
        gate.set()
        fourth.wait()

    run()
    return seen


@row(expect=["NotReady"] * 5)
def a_failed_upstream_leaves_its_dependents_not_ready(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        failed = fail.submit("no")
        by_value = double.submit(failed)
        by_order = double.submit(1, wait_for=[failed])
        further = double.submit(by_value)
        in_thread = double_sync.submit(failed)
        deep = double_sync.submit(1, wait_for=[[by_order]])
        futures = [by_value, by_order, further, in_thread, deep]
        wait(futures)
        return [each.state.name for each in futures]

    return run()


@row()
def the_result_of_one_that_is_not_ready(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        not_ready = double.submit(fail.submit("no"))
        text = outcome(not_ready.result)
        return text.split(":")[0], outcome(lambda: double_sync.submit(not_ready).result())[:40]

    return run()


@row(expect=["free", "gated"])
def as_completed_yields_in_the_order_of_completion(make: MakeRunner) -> Any:
    gate = threading.Event()

    @task
    async def free() -> str:
        return "free"

    @flow(task_runner=make())
    def run() -> Any:
        seen = []
        for future in as_completed([gated(gate).submit(), free.submit()]):
            seen.append(future.result())
            gate.set()
        return seen

    return run()


@row(expect=(1, 1, "raised TimeoutError", "raised TimeoutError", True, "Pending"))
def waits_with_a_timeout_tell_done_from_not_done(make: MakeRunner) -> Any:
    gate = threading.Event()

    @task
    def unstarted(x: Any) -> None: ...

    @flow(task_runner=make())
    def run() -> Any:
        free, held = double.submit(1), gated(gate).submit()
        behind = unstarted.submit(held)
        free.wait()
        done, not_done = wait([free, held], timeout=0.05)
        late = outcome(lambda: held.result(timeout=0.01)).split(":")[0]
        # A kind of its own; in Prefect 3.8.0 `TimeoutError` itself.
        as_done = outcome(lambda: list(as_completed([held], timeout=0.01))).split(":")[0]
        as_done = as_done.replace("_Wait", "")
        nothing = held.wait(timeout=0.01) is None
        state = behind.state.name
        gate.set()
        held.wait()
        return len(done), len(not_done), late, as_done, nothing, state

    return run()


@row()
def done_callbacks_are_called_once_before_and_after(make: MakeRunner) -> Any:
    called: list[Any] = []

    @flow(task_runner=make())
    def run() -> Any:
        future = double.submit(1)
        future.add_done_callback(lambda f: called.append(f.task_run_id))
        future.wait()
        future.add_done_callback(lambda f: called.append(f.task_run_id))
        return [future.task_run_id] * 2

    return run() == called, len(called)


@row()
def result_raises_the_exception_or_returns_it(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        future, futures = fail.submit("mine"), fail.map(["a", "b"])
        return (
            outcome(future.result),
            outcome(lambda: future.result(raise_on_failure=False)),
            outcome(lambda: futures.result(raise_on_failure=False)),
            outcome(lambda: fail.map(["only"]).result()),
        )

    return run()


@row(expect=3)
def a_future_may_be_waited_for_from_other_threads(make: MakeRunner) -> Any:
    @flow(task_runner=make())
    def run() -> Any:
        future = double.submit(1)
        seen: list[int] = []
        threads = [threading.Thread(target=lambda: seen.append(future.result())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        return seen.count(2)

    return run()
