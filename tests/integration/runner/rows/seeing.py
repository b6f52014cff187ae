# mypy: ignore-errors
"""Hooks, logs, tags and context variables."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, tags, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency import services
from prefect.context import FlowRunContext, get_run_context
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound

from tests.integration.runner.rows import PATIENCE_SECONDS, MakeRunner, row
from tests.integration.runner.rows.data import double
from tests.waiting import until


@row(expect=["Running", "Completed", "Failed", "Running", "Retrying", "Completed"])
def hooks_are_called(make: MakeRunner) -> Any:
    called: list[str] = []

    def hook(task: Any, run: Any, state: Any) -> None:
        called.append(state.name or "")

    async def async_hook(task: Any, run: Any, state: Any) -> None:
        called.append(state.name or "")

    def broken_hook(task: Any, run: Any, state: Any) -> None:
        raise ValueError("a hook's failure is not the task's")

    attempts: list[int] = []

    @task(on_completion=[broken_hook, hook], on_running=[async_hook])
    async def fine() -> None: ...

    @task(on_failure=[hook], on_completion=[hook])
    def broken() -> None:
        raise ValueError

    @task(retries=1, on_running=[hook], on_completion=[hook])
    def second() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError

    @flow(task_runner=make())
    def run() -> None:
        for each in (fine, broken, second):
            each.submit().wait()

    run()
    return called


@row(expect=["commit", "rollback"])
def commit_and_rollback_hooks(make: MakeRunner) -> Any:
    called: list[str] = []

    @task
    async def commits() -> None: ...

    @commits.on_commit
    def committed(txn: Any) -> None:
        called.append("commit")

    @task(persist_result=True)
    def fails_in_commit() -> None: ...

    @fails_in_commit.on_commit
    def refuses(txn: Any) -> None:
        raise ValueError("no")

    @fails_in_commit.on_rollback
    def undone(txn: Any) -> None:
        called.append("rollback")

    @flow(task_runner=make())
    def run() -> None:
        commits.submit().wait()
        fails_in_commit.submit().wait()

    run()
    return called


@row(expect=["a", "b", "b", "b"])
def context_variables_are_copied_at_submit(make: MakeRunner) -> Any:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @task
    async def read_and_set() -> str:
        before = variable.get()
        variable.set("by a task")
        await asyncio.sleep(0)
        return before

    @task
    def read_sync() -> str:
        before = variable.get()
        variable.set("by a sync task")
        return before

    @flow(task_runner=make())
    def run() -> Any:
        variable.set("a")
        first = read_and_set.submit()
        variable.set("b")
        futures = [first, read_and_set.submit(), read_sync.submit()]
        return [future.result() for future in futures] + [variable.get()]

    return run()


class _Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@row(expect=[("printed", True, True), ("said 1", True, True), ("said 2", True, True)])
def logs_carry_the_task_run_and_the_flow_run(make: MakeRunner) -> Any:
    @task
    async def say(x: int) -> str:
        await asyncio.sleep(0)
        get_run_logger().warning("said %s", x)
        return str(get_run_context().task_run.id)

    @task(log_prints=True)
    def prints() -> str:
        print("printed")
        return str(get_run_context().task_run.id)

    @flow(task_runner=make())
    def run() -> Any:
        futures = [prints.submit(), *say.map([1, 2])]
        return [future.result() for future in futures], str(FlowRunContext.get().flow_run.id)

    logger, handler = logging.getLogger("prefect.task_runs"), _Collect()
    logger.addHandler(handler)
    try:
        task_runs, flow_run = run()
    finally:
        logger.removeHandler(handler)
    ids = dict(zip(("printed", "said 1", "said 2"), task_runs, strict=True))
    return sorted(
        (text, record.task_run_id == ids[text], record.flow_run_id == flow_run)
        for record in handler.records
        if (text := record.getMessage()) in ids
    )


@row(expect=[["llm"], ["flow", "llm", "nightly"], ["flow", "nightly", "only"]])
def tags_of_the_task_and_of_the_context(make: MakeRunner) -> Any:
    @task(tags=["llm"])
    async def tagged() -> Any:
        return sorted(get_run_context().task_run.tags)

    @flow(task_runner=make())
    def run(nightly: bool) -> Any:
        if not nightly:
            return [tagged.submit().result()]
        with tags("nightly"):
            return [
                tagged.submit().result(),
                tagged.with_options(tags=["only"]).submit().result(),
            ]

    plain = run(False)
    with tags("flow"):
        return plain + run(True)


@row(expect=("compute", "compute-", True, [7]))
def the_run_context_of_a_task(make: MakeRunner) -> Any:
    from prefect.runtime import flow_run, task_run

    @task
    async def compute(x: int) -> Any:
        context = get_run_context()
        return (
            context.task.name,
            task_run.name[:8],
            flow_run.id == str(context.task_run.flow_run_id),
            list(context.parameters.values()),
        )

    @flow(task_runner=make())
    def run() -> Any:
        return compute.submit(7).result()

    return run()


@row(expect=["pending", "running", "completed"])
def states_are_told_to_the_server_in_order(make: MakeRunner) -> Any:
    @task
    async def nothing() -> None: ...

    ids: list[Any] = []

    @flow(task_runner=make())
    def run() -> None:
        future = nothing.submit()
        future.wait()
        ids.append(future.task_run_id)

    run()
    EventsWorker.drain_all()
    with get_client(sync_client=True) as client:

        def states() -> list[str]:
            return [each.type.value.lower() for each in client.read_task_run_states(ids[0])]

        until(lambda: len(states()) == 3, seconds=180)
        return states()


def recorded(task_run_id: UUID) -> Any:
    """The task run as the server has it once its final event has arrived."""
    EventsWorker.drain_all()
    found: list[Any] = []

    def is_final() -> bool:
        with get_client(sync_client=True) as client, suppress(ObjectNotFound):
            found[:] = [client.read_task_run(task_run_id)]
        return bool(found and found[0].state is not None and found[0].state.is_final())

    until(is_final, seconds=PATIENCE_SECONDS)
    return found[0]


@row(expect=(["llm", "nightly"], ["upstream"], ["before"]))
def the_server_records_tags_and_dependencies(make: MakeRunner) -> Any:
    @task(tags=["llm"])
    async def tagged(x: int) -> None: ...

    @flow(task_runner=make())
    def run() -> Any:
        upstream, before = double.submit(1), double.submit(2)
        with tags("nightly"):
            future = tagged.submit(upstream, wait_for=[before])
        future.wait()
        return future.task_run_id, {upstream.task_run_id: "upstream", before.task_run_id: "before"}

    task_run_id, names = run()
    run = recorded(task_run_id)
    inputs = {
        key: [names.get(each.id) for each in run.task_inputs[key]] for key in ("x", "wait_for")
    }
    return sorted(run.tags), inputs["x"], inputs["wait_for"]


@row(expect=([False, True], [False, False]) * 2)
def a_tag_limit_that_exists_is_honoured(make: MakeRunner) -> Any:
    """Whether two tasks overlap: without a limit, with one; async, then sync."""
    return _overlaps(make, is_async=True) + _overlaps(make, is_async=False)


def _overlaps(make: MakeRunner, *, is_async: bool) -> tuple[list[bool], list[bool]]:
    tag = f"solo-{time.time_ns()}"
    running = threading.Lock()
    overlaps: list[bool] = []

    def body() -> None:
        free = running.acquire(blocking=False)
        overlaps.append(not free)
        time.sleep(0.2)  # long enough that two tasks which may overlap do
        if free:
            running.release()

    @task(tags=[tag])
    async def alone(x: int) -> None:
        await asyncio.to_thread(body)

    @task(tags=[tag])
    def alone_sync(x: int) -> None:
        body()

    @flow(task_runner=make())
    def run() -> list[bool]:
        overlaps.clear()
        (alone if is_async else alone_sync).map([1, 2]).wait()
        return list(overlaps)

    without = run()
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=f"tag:{tag}", limit=1)
        )
    # Prefect remembers for 5 s that there was none.
    services._no_limits_cache.clear()
    return without, run()
