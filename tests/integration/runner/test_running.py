# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,return-value"
# mypy: disable-error-code="attr-defined,list-item,operator,unused-coroutine,var-annotated"
"""What holds under our runner alone, with the reason in the names, on a server.

What it has in common with Prefect's runner is one table, in `test_behaviours.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from prefect import flow, tags, task
from prefect.futures import as_completed
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings
from prefect.utilities.annotations import quote

from prefect_governor.blocks.errors import OverBudget, QueueTimeout
from prefect_governor.flows.runner import GovernedTaskRunner, LoopWouldBlock, outstanding

pytestmark = [
    pytest.mark.usefixtures("quick_flows"),
    # Prefect's own clients and websockets are left to the garbage collector, under either runner.
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]

PATIENCE_SECONDS = 90.0


@task
async def double(x: int) -> int:
    return x * 2


@task
def double_sync(x: int) -> int:
    return x * 2


async def test_awaiting_works_from_the_flows_loop_and_from_a_task() -> None:
    @task
    async def parent(x: int) -> int:
        return await double.submit(x) + sum(await asyncio.gather(*double.map([x, x])))

    @flow(task_runner=GovernedTaskRunner())
    async def run() -> tuple[int, list[int]]:
        return await parent.submit(1), await asyncio.gather(*double_sync.map([1, 2]))

    assert await run() == (6, [2, 4])


async def test_a_cancelled_waiter_does_not_cancel_the_task() -> None:
    gate = asyncio.Event()

    @flow(task_runner=GovernedTaskRunner())
    async def run() -> int:
        future = double.submit(quote_gate.submit(gate, asyncio.get_running_loop()))
        waiter = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        waiter.cancel()
        gate.set()
        return await future

    @task
    async def quote_gate(event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> int:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(event.wait(), loop))
        return 4

    assert await run() == 8


def test_sync_parents_fill_the_pool_and_their_children_still_run() -> None:
    @task
    def parent(x: int) -> int:
        return sum(double_sync.map([x, x]).result())

    @flow(task_runner=GovernedTaskRunner(max_threads=1))
    def run() -> list[int]:
        return parent.map(range(3)).result()

    assert run() == [0, 4, 8]


def test_sync_tasks_start_in_order_and_never_more_than_max_threads() -> None:
    started: list[int] = []
    lock, running, most = threading.Lock(), [0], [0]

    @task
    def work(x: int) -> None:
        with lock:
            started.append(x)
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.005)
        with lock:
            running[0] -= 1

    @flow(task_runner=GovernedTaskRunner(max_threads=2))
    def run() -> None:
        work.map(range(12)).wait()

    run()
    assert most[0] == 2
    # A thread may be held up between its start and its first line, while the other runs on: the
    # one that it has may be missing before a later one, and no more.
    for place in range(12):
        before = started[: place + 1]
        assert len(set(range(max(before))) - set(before)) <= 1, started


def test_a_flow_that_does_not_wait_loses_nothing() -> None:
    finished: list[int] = []

    @task
    async def work(x: int) -> None:
        await asyncio.sleep(0.01)
        finished.append(x)

    @task
    def last(x: int) -> None:
        finished.append(x)

    @flow(task_runner=GovernedTaskRunner(max_threads=1))
    def run() -> None:
        futures = work.map(range(5))
        last.map(range(5, 10), wait_for=futures)

    run()
    assert sorted(finished) == list(range(10))


def test_a_wait_that_could_never_end_says_so_instead_of_hanging() -> None:
    @task
    async def waits_for_sibling(how: Any, siblings: Any) -> str:
        try:
            how(siblings)
        except LoopWouldBlock as exc:
            return str(exc)
        return "did not block"

    over = threading.Event()

    @task
    async def slow() -> None:
        while not over.is_set():
            await asyncio.sleep(0.01)

    @task
    async def child(x: Any) -> None: ...

    @flow(task_runner=GovernedTaskRunner())
    def run() -> list[str]:
        sibling = slow.submit()
        hows = [
            lambda fs: fs[0].result(),
            lambda fs: fs[0].wait(timeout=5),
            lambda fs: list(as_completed(fs)),
            lambda fs: child.submit(fs).result(),  # a child that waits for our own sibling
        ]
        try:
            return [
                waits_for_sibling.submit(quote(how), quote([sibling])).result(PATIENCE_SECONDS)
                for how in hows
            ]
        finally:
            over.set()

    answers = run()
    assert all("await future" in answer for answer in answers), answers


def test_isolated_tasks_may_block_without_holding_up_the_others() -> None:
    together = threading.Barrier(3)

    @task
    async def blocks(x: int) -> int:
        return together.wait(PATIENCE_SECONDS) * 0 + x

    @flow(task_runner=GovernedTaskRunner(isolate=True))
    def run() -> list[int]:
        return blocks.map(range(3)).result()

    assert run() == [0, 1, 2]


def test_helper_threads_are_not_scarcer_than_on_a_loop_of_ones_own() -> None:
    many = 40  # asyncio's default is 6 on two cores
    together = threading.Barrier(many)

    @task
    async def helped(x: int) -> int:
        await asyncio.to_thread(together.wait, PATIENCE_SECONDS)
        return x

    @flow(task_runner=GovernedTaskRunner())
    def run() -> list[int]:
        return helped.map(range(many)).result()

    assert run() == list(range(many))


def test_cancel_all_drops_what_waits_and_stops_what_awaits() -> None:
    started = threading.Event()

    @task
    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    # A crash is logged; without a flow there is no run to send the log to.
    ignored = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})
    with ignored, GovernedTaskRunner() as runner:
        held = runner.submit(forever, {})
        dependent = runner.submit(double, {"x": held})
        assert started.wait(PATIENCE_SECONDS)
        runner.cancel_all()
        for future in (held, dependent):
            with pytest.raises(BaseException) as caught:
                future.result(timeout=PATIENCE_SECONDS)
            assert type(caught.value).__name__ == "CancelledError", repr(caught.value)
        with pytest.raises(RuntimeError, match="cancelled"):
            runner.submit(double, {"x": 1})


def test_leaving_on_ctrl_c_stops_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outstanding, "GRACE_SECONDS", 0.2)
    started = threading.Event()

    @task
    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    ignored = temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})
    with ignored, pytest.raises(KeyboardInterrupt), GovernedTaskRunner() as runner:
        future = runner.submit(forever, {})
        assert started.wait(PATIENCE_SECONDS)
        raise KeyboardInterrupt
    assert future.wrapped_future.done()


@contextmanager
def _counted_requests() -> Iterator[list[str]]:
    paths: list[str] = []
    send, asend = httpx.Client.send, httpx.AsyncClient.send

    def counting(self: Any, request: httpx.Request, **kwargs: Any) -> Any:
        paths.append(request.url.path)
        return send(self, request, **kwargs)

    def acounting(self: Any, request: httpx.Request, **kwargs: Any) -> Any:
        paths.append(request.url.path)
        return asend(self, request, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", counting)
        patch.setattr(httpx.AsyncClient, "send", acounting)
        yield paths


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_tag_costs_no_request_a_task(is_async: bool) -> None:
    count = 40

    @task(tags=["llm"])
    async def tagged(x: int) -> None: ...

    @task(tags=["llm"])
    def tagged_sync(x: int) -> None: ...

    @flow(task_runner=GovernedTaskRunner())
    async def run() -> None:
        for item in range(count):
            with tags(f"item-{item}"):  # a set of tags of its own, which the engine has not seen
                (tagged if is_async else tagged_sync).submit(item)

    with _counted_requests() as paths:
        await run()
    # Governors that earlier tests left standing in this process look after limits of their own.
    of_limits = [p for p in paths if "concurrency_limits" in p and "/governor:" not in p]
    assert 1 <= len(of_limits) <= 4, of_limits
    assert not [p for p in paths if "task_runs" in p]


def test_the_governor_is_current_in_every_task_and_let_go_after_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current: contextvars.ContextVar[str | None] = contextvars.ContextVar("current", default=None)
    log: list[str] = []

    @contextmanager
    def scope(governor: Any) -> Iterator[None]:
        log.append(f"enter {governor}")
        token = current.set(governor)
        yield
        current.reset(token)
        log.append(f"exit {governor}")

    monkeypatch.setattr("prefect_governor.flows.runner.task_runner.governor_scope", scope)

    @task
    async def child() -> str | None:
        return current.get()

    @task
    async def governed_task() -> str | None:
        await asyncio.sleep(0.01)
        log.append("task")
        return child.submit().result()

    @task
    def governed_sync() -> str | None:
        return current.get()

    futures: list[Any] = []

    @flow(task_runner=GovernedTaskRunner("llm-team"))
    def run() -> None:
        futures.extend([governed_task.submit(), governed_sync.submit()])

    assert log == []
    run()
    assert log == ["enter llm-team", "task", "exit llm-team"]
    assert [f.result() for f in futures] == ["llm-team", "llm-team"]
    assert current.get() is None


def test_refused_call_is_met_once_whatever_the_task_says_of_retries() -> None:
    met: dict[str, int] = {}

    def refused(name: str, error: Exception) -> None:
        met[name] = met.get(name, 0) + 1
        # As an SDK has it.
        raise ConnectionError("Connection error.") from error

    again = task(retries=2, retry_delay_seconds=0, retry_condition_fn=lambda *_: True)
    sync_task = again(refused)

    @again
    async def async_task(name: str, error: Exception) -> None:
        refused(name, error)

    @flow(task_runner=GovernedTaskRunner())
    def run() -> None:
        for each in (sync_task, async_task):
            kind = "sync" if each is sync_task else "async"
            for error in (OverBudget("$0.01 is left"), QueueTimeout("60 s")):
                each.submit(f"{kind} {type(error).__name__}", error, return_state=True)

    with suppress(ConnectionError):
        run()
    assert met == {
        "sync OverBudget": 1,
        "async OverBudget": 1,
        "sync QueueTimeout": 3,
        "async QueueTimeout": 3,
    }
