# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,return-value"
# mypy: disable-error-code="attr-defined,list-item,operator,unused-coroutine,var-annotated"
"""A limit that counts tasks: as many at work as it says, and none that only waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import flow, task
from prefect.futures import as_completed

from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.server.background import ServerInfo

pytestmark = [
    pytest.mark.usefixtures("server", "home"),
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]


class Seen:
    """How many were at work at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = self.times = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.times += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


def governor(cap: int, tag: str | None = "cpu") -> Governor:
    name = f"tasks-{tag}-{cap}-{time.monotonic_ns()}"
    limit = Limit(tag=tag, max_concurrent=cap, counts="tasks")
    return Governor.local(name, max_usd=1, limits=[limit])


def run(work: Any, under: Governor) -> Any:
    """In a thread of its own: what hangs fails the test and not the session."""
    found: list[Any] = []
    flow_ = flow(task_runner=GovernedTaskRunner(under))(work)
    thread = threading.Thread(target=lambda: found.append(flow_()), daemon=True)
    thread.start()
    thread.join(90)
    assert found, "it never ended"
    return found[0]


def in_flight(under: Governor) -> int:
    runtime = under.runtime
    runtime.desk.write(lambda _: None).result(20)
    gate = runtime.desk.store.read_gate(runtime.limits_[0].key)
    assert gate is not None
    return gate.in_flight


def test_tagged_tasks_share_the_slots_and_untagged_ones_take_none(server: ServerInfo) -> None:
    tagged, plain = Seen(), Seen()

    @task(tags=["cpu"])
    async def heavy(_: int) -> None:
        with tagged.at_work():
            await asyncio.sleep(0.05)

    @task
    async def light(_: int) -> None:
        with plain.at_work():
            await asyncio.sleep(0.3)

    def work() -> None:
        futures = [*heavy.map(range(8)), *light.map(range(8))]
        for future in futures:
            future.wait()

    under = governor(2)
    run(work, under)
    assert (tagged.most, tagged.times) == (2, 8)
    assert plain.most > 2
    assert in_flight(under) == 0


@pytest.mark.parametrize("how", ["await", "gather", "as_completed", "sync"])
def test_three_levels_of_nested_fan_out_finish_at_a_cap_of_one(how: str) -> None:
    leaves = Seen()

    @task(tags=["cpu"])
    async def leaf(x: int) -> int:
        with leaves.at_work():
            await asyncio.sleep(0.01)
            return x

    if how == "sync":

        @task(tags=["cpu"])
        def middle(x: int) -> int:
            return sum(f.result() for f in leaf.map([x, x, x]))

        @task(tags=["cpu"])
        def top(x: int) -> int:
            return sum(f.result() for f in middle.map([x, x, x]))

    elif how == "as_completed":

        @task(tags=["cpu"])
        def middle(x: int) -> int:
            return sum(f.result() for f in as_completed([leaf.submit(x) for _ in range(3)]))

        @task(tags=["cpu"])
        def top(x: int) -> int:
            return sum(f.result() for f in as_completed([middle.submit(x) for _ in range(3)]))

    else:

        async def all_of(futures: list[Any]) -> int:
            if how == "gather":
                return sum(await asyncio.gather(*futures))
            return sum([await future for future in futures])

        @task(tags=["cpu"])
        async def middle(x: int) -> int:
            return await all_of([leaf.submit(x) for _ in range(3)])

        @task(tags=["cpu"])
        async def top(x: int) -> int:
            return await all_of([middle.submit(x) for _ in range(3)])

    def work() -> int:
        return sum(future.result() for future in top.map([1, 2, 3]))

    under = governor(1)
    assert run(work, under) == 9 * (1 + 2 + 3)
    assert (leaves.most, leaves.times) == (1, 27)
    assert in_flight(under) == 0


def test_a_task_that_waits_for_its_retry_holds_no_slot() -> None:
    order: list[str] = []

    @task(tags=["cpu"], retries=1, retry_delay_seconds=1.0)
    async def flaky() -> None:
        order.append("flaky")
        if order.count("flaky") == 1:
            raise RuntimeError("again")

    @task(tags=["cpu"])
    async def other() -> None:
        order.append("other")

    def work() -> None:
        first = flaky.submit()
        while not order:
            time.sleep(0.01)
        other.submit().wait()
        first.wait()

    under = governor(1)
    run(work, under)
    assert order == ["flaky", "other", "flaky"]
    assert in_flight(under) == 0


def test_a_limit_without_a_tag_counts_every_task_and_its_wait_is_not_its_time() -> None:
    seen = Seen()

    @task(timeout_seconds=1.0)
    async def slow(_: int) -> int:
        with seen.at_work():
            await asyncio.sleep(0.4)
            return 1

    def work() -> int:
        return sum(future.result() for future in slow.map(range(5)))

    assert run(work, governor(1, tag=None)) == 5
    assert (seen.most, seen.times) == (1, 5)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_wait_of_so_long_at_most_returns_though_its_slot_is_anothers(how: str) -> None:
    begun, over = threading.Event(), threading.Event()

    @task(tags=["cpu"])
    def child() -> str:
        begun.set()
        # Not before the wait for it was given up: it has the one slot all the while.
        assert over.wait(60)
        return "child"

    @task(tags=["cpu"])
    def waits() -> str:
        future = child.submit()
        while not begun.is_set():
            future.wait(timeout=0.05)
        future.wait(timeout=0.05)
        over.set()
        return future.result()

    @task(tags=["cpu"])
    async def awaits() -> str:
        future = child.submit()
        while not begun.is_set():
            await future.wait_async(timeout=0.05)
        await future.wait_async(timeout=0.05)
        over.set()
        return await future

    under = governor(1)
    parent = waits if how == "sync" else awaits
    assert run(lambda: parent.submit().result(), under) == "child"
    assert in_flight(under) == 0
