# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,return-value"
# mypy: disable-error-code="attr-defined,list-item,operator,unused-coroutine,var-annotated"
"""`python -m tests.integration.runner.stops`: flows that are stopped in the midst of their work.

A warm parent that has imported everything and opened nothing. It is told of a flow, and runs it in
a child that it forks, which ends as any program does. What the flow does stands in the file that
`STOPS_LOG` names, a JSON object a line, times by CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_governor import GovernedTaskRunner, Governor, Limit, acompletion, completion, governed
from prefect_governor.blocks.claims import flow_stops
from prefect_governor.blocks.models.library.module import litellm
from tests.talk import tell

MODEL = "openai/gpt-4o-mini"
# A run that nobody supervises looks for its cancellation this often here.
flow_stops.LOOK_SECONDS = 0.25
# Calls, or tasks, in flight; tasks that begin under a runner with threads; tasks in all.
CAP, THREADS, ITEMS = 2, 6, 10
# Not begun at the stop, whatever there is room for: it comes after another one.
LATE = 99

CALLS = Governor.local("stops-calls", max_usd=5, limits=[Limit(tag="llm", max_concurrent=CAP)])
TASKS = Governor.local(
    "stops-tasks", max_usd=5, limits=[Limit(tag="llm", max_concurrent=CAP, counts="tasks")]
)
WIDE = Governor.local("stops-wide", max_usd=5, limits=[Limit(tag="llm", max_concurrent=128)])


def note(what: str, **more: Any) -> None:
    line = json.dumps({"what": what, "at": time.monotonic(), **more})
    handle = os.open(os.environ["STOPS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)


def _asked(item: int, turn: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"{turn} {item}"}], "max_tokens": 20}


def steps(item: int) -> None:
    """Two calls: one that is in flight at a stop is not followed by the other."""
    note("begun", item=item)
    completion(MODEL, **_asked(item, "first"))
    completion(MODEL, **_asked(item, "second"))
    note("succeeded", item=item)


async def asteps(item: int) -> None:
    note("begun", item=item)
    await acompletion(MODEL, **_asked(item, "first"))
    await acompletion(MODEL, **_asked(item, "second"))
    note("succeeded", item=item)


plain = task(tags=["llm"], retries=1, retry_delay_seconds=20)(steps)
awaited = task(tags=["llm"], retries=1, retry_delay_seconds=20)(asteps)
plain_governed = task(tags=["llm"], retries=1, retry_delay_seconds=20)(governed(CALLS)(steps))
awaited_governed = task(tags=["llm"])(governed(CALLS)(asteps))
wide_governed = task(tags=["llm"])(governed(WIDE)(steps))
tasks_governed = task(tags=["llm"])(governed(TASKS)(steps))


def work(each: Any, items: int) -> None:
    note("flow")
    futures = each.map(list(range(items)))
    futures.append(each.submit(LATE, wait_for=[futures[0]]))
    for future in futures:
        future.wait()


async def awork(each: Any, items: int) -> None:
    note("flow")
    futures = each.map(list(range(items)))
    futures.append(each.submit(LATE, wait_for=[futures[0]]))
    await asyncio.gather(*futures, return_exceptions=True)


@flow(task_runner=GovernedTaskRunner(CALLS, max_threads=THREADS))
def sync_tasks() -> None:
    work(plain, ITEMS)


@flow(task_runner=GovernedTaskRunner(CALLS))
def async_tasks() -> None:
    work(awaited, ITEMS)


@flow(task_runner=GovernedTaskRunner(CALLS))
async def async_flow() -> None:
    await awork(awaited, ITEMS)


@flow(task_runner=GovernedTaskRunner(TASKS, max_threads=THREADS))
def counted_sync() -> None:
    work(plain, ITEMS)


@flow(task_runner=GovernedTaskRunner(TASKS))
def counted_async() -> None:
    work(awaited, ITEMS)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def governed_sync() -> None:
    work(plain_governed, ITEMS)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def governed_async() -> None:
    work(awaited_governed, ITEMS)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def governed_counted() -> None:
    work(tasks_governed, ITEMS)


@flow(task_runner=GovernedTaskRunner(WIDE, max_threads=256))
def many_threads() -> None:
    work(plain, 300)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=256))
def many_governed() -> None:
    work(wide_governed, 300)


FLOWS = {
    each.fn.__name__: each
    for each in (
        sync_tasks,
        async_tasks,
        async_flow,
        counted_sync,
        counted_async,
        governed_sync,
        governed_async,
        governed_counted,
        many_threads,
        many_governed,
    )
}


def run(name: str, timeout_seconds: float | None) -> None:
    chosen = FLOWS[name]
    if timeout_seconds is not None:
        chosen = chosen.with_options(timeout_seconds=timeout_seconds)
    try:
        result = chosen()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    finally:
        note("left", error=type(sys.exc_info()[1]).__name__)


def main() -> None:
    litellm()
    tell("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ["STOPS_LOG"] = asked["log"]
        pid = os.fork()
        if pid == 0:
            return run(asked["flow"], asked["timeout_seconds"])
        tell(pid)
        tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
