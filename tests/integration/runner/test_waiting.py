# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,attr-defined"
"""What waits holds nothing, time in the queue is nobody's, and a blocked loop is named."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prefect import flow, task
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from prefect_governor import GovernedTaskRunner, Governor, Limit, acompletion, completion
from tests.integration.governing import HELLO, MODEL, ask
from tests.provider.process import ProviderProcess

pytestmark = [
    pytest.mark.usefixtures("server"),
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]

PATIENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 0.6
QUEUED_SECONDS = 1.5


@pytest.fixture(autouse=True)
def quick_flows() -> Iterator[None]:
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture
def governor(request: pytest.FixtureRequest, upstream: ProviderProcess) -> Governor:
    """One call at a time, LiteLLM imported and warm."""
    governor = Governor.local(
        request.node.name.replace("[", "-").replace("]", "")[:60],
        max_usd=10,
        limits=[Limit(max_concurrent=1)],
    )
    governor.completion(MODEL, HELLO, max_tokens=8)
    upstream.settled_stats()
    return governor


def _hold(governor: Governor) -> Callable[[], None]:
    """Holds the one slot; what is returned lets it go."""
    runtime = governor.runtime
    call_id, admitted = ask(runtime, 0.001)
    admitted.result(PATIENCE_SECONDS)
    return lambda: runtime.desk.void(call_id, "the test lets go").result(PATIENCE_SECONDS)


async def _call() -> str:
    await acompletion(MODEL, HELLO, max_tokens=8)
    return "answered"


@task(timeout_seconds=TIMEOUT_SECONDS)
async def in_coroutine() -> str:
    return await _call()


@task(timeout_seconds=TIMEOUT_SECONDS)
def in_thread() -> str:
    completion(MODEL, HELLO, max_tokens=8)
    return "answered"


@task(timeout_seconds=TIMEOUT_SECONDS)
async def in_helper_thread() -> str:
    await asyncio.to_thread(completion, MODEL, HELLO, max_tokens=8)
    return "answered"


@task
async def untimed() -> str:
    return await _call()


@task(timeout_seconds=TIMEOUT_SECONDS)
async def of_child() -> str:
    return await untimed.submit()


def _state_of(work: Any, runner: TaskRunner[Any]) -> str:
    @flow(task_runner=runner)
    def run() -> str:
        return work.submit(return_state=True).name

    return run()


KINDS = [in_coroutine, in_thread, in_helper_thread, of_child]


@pytest.mark.parametrize("work", KINDS, ids=lambda each: each.name)
def test_time_in_the_queue_does_not_count_against_a_timeout(governor: Governor, work: Any) -> None:
    let_go = _hold(governor)
    threading.Timer(QUEUED_SECONDS, let_go).start()
    began = time.monotonic()
    assert _state_of(work, GovernedTaskRunner(governor)) == "Completed"
    assert time.monotonic() - began >= QUEUED_SECONDS, "it never waited"


def test_under_prefects_runner_it_counts(governor: Governor) -> None:
    """The control: without the stopwatch the same task times out."""
    let_go = _hold(governor)
    try:
        with governor:
            assert _state_of(in_coroutine, ThreadPoolTaskRunner()) == "TimedOut"
    finally:
        let_go()


@pytest.mark.parametrize("work", KINDS[:2], ids=lambda each: each.name)
def test_a_call_that_itself_takes_too_long_times_out(
    governor: Governor, upstream: ProviderProcess, work: Any
) -> None:
    upstream.configure(latency_seconds=4 * TIMEOUT_SECONDS)
    assert _state_of(work, GovernedTaskRunner(governor)) == "TimedOut"


def test_calls_of_one_task_wait_for_each_other_without_its_time(
    governor: Governor, upstream: ProviderProcess
) -> None:
    upstream.configure(latency_seconds=TIMEOUT_SECONDS / 2)

    @task(timeout_seconds=TIMEOUT_SECONDS)
    async def several() -> list[str]:
        return await asyncio.gather(*[_call() for _ in range(4)])

    assert _state_of(several, GovernedTaskRunner(governor)) == "Completed"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_three_levels_of_fan_out_finish_with_one_thread_and_one_slot(
    governor: Governor, upstream: ProviderProcess, kind: str
) -> None:
    if kind == "async":

        @task
        async def leaf(x: int) -> int:
            await _call()
            return 1

        @task
        async def middle(x: int) -> int:
            await _call()
            return 1 + sum(await asyncio.gather(*leaf.map(range(3))))

        @task
        async def top(x: int) -> int:
            await _call()
            return 1 + sum(await asyncio.gather(*middle.map(range(2))))
    else:

        @task
        def leaf(x: int) -> int:
            completion(MODEL, HELLO, max_tokens=8)
            return 1

        @task
        def middle(x: int) -> int:
            completion(MODEL, HELLO, max_tokens=8)
            return 1 + sum(leaf.map(range(3)).result())

        @task
        def top(x: int) -> int:
            completion(MODEL, HELLO, max_tokens=8)
            return 1 + sum(middle.map(range(2)).result())

    @flow(task_runner=GovernedTaskRunner(governor, max_threads=1))
    def run() -> int:
        return sum(future.result(PATIENCE_SECONDS) for future in top.map(range(2)))

    before = upstream.settled_stats()["requests"]
    assert run() == 2 * (1 + 2 * (1 + 3))
    stats = upstream.settled_stats()
    assert stats["requests"] - before == 2 * (1 + 2 * (1 + 3))
    assert stats["max_open"] == 1


def test_a_task_that_waits_for_its_sibling_gives_it_its_thread() -> None:
    """The sibling stands behind it in the queue of the one thread."""
    found: list[Any] = []
    there = threading.Event()

    @task
    def sibling(x: int) -> int:
        return x

    @task
    def waits() -> int:
        assert there.wait(PATIENCE_SECONDS)
        return found[0].result(timeout=PATIENCE_SECONDS)

    @flow(task_runner=GovernedTaskRunner(max_threads=1))
    def run() -> int:
        first = waits.submit()
        found.append(sibling.submit(7))
        there.set()
        return first.result()

    assert run() == 7


def test_a_retrys_delay_holds_no_thread() -> None:
    order: list[str] = []

    @task(retries=1, retry_delay_seconds=0.5)
    def again() -> None:
        order.append("again")
        if order.count("again") == 1:
            raise ConnectionError

    @task
    def other() -> None:
        order.append("other")

    @flow(task_runner=GovernedTaskRunner(max_threads=1))
    def run() -> None:
        again.submit()
        other.submit()

    run()
    assert order == ["again", "other", "again"]


def _five(runner: TaskRunner[Any]) -> float:
    @task(name="blocks", tags=["cpu"])
    async def blocks(x: int) -> int:
        time.sleep(0.3)
        return x

    @flow(task_runner=runner)
    def run() -> float:
        began = time.monotonic()
        assert list(blocks.map(range(5)).result()) == [*range(5)]
        return time.monotonic() - began

    return run()


def _named(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if "has held the event loop" in each.getMessage()]


def test_tasks_that_block_are_named_once_in_their_runs_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert _five(GovernedTaskRunner()) >= 1.5
    (record,) = _named(caplog)
    assert "'blocks'" in record.getMessage()
    assert "test_waiting.py" in record.getMessage()
    assert "isolate={'blocks'}" in record.getMessage()
    assert record.task_run_id


@pytest.mark.parametrize("isolate", [True, {"blocks"}, ["cpu"]], ids=["all", "name", "tag"])
def test_isolated_tasks_do_not_hold_each_other_up(
    isolate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert _five(GovernedTaskRunner(isolate=isolate)) < 1.5
    assert _named(caplog) == []


def test_only_the_tasks_named_are_isolated() -> None:
    @task
    async def stays() -> str:
        return threading.current_thread().name

    @task(name="goes")
    async def goes() -> str:
        return threading.current_thread().name

    @flow(task_runner=GovernedTaskRunner(isolate={"goes"}))
    def run() -> tuple[str, str]:
        return stays.submit().result(), goes.submit().result()  # type: ignore[return-value]

    stayed, went = run()
    assert stayed.endswith("-loop")
    assert "-task-" in went
