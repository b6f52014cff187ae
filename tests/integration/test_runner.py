# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,return-value"
# mypy: disable-error-code="attr-defined,list-item,operator,unused-coroutine,var-annotated"
"""A table of behaviours, each row run under Prefect's default runner and under ours, on a server.

Rows that only hold for ours stand at the end, with the reason in their names.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import allow_failure, flow, get_run_logger, tags, task, unmapped
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import State
from prefect.context import get_run_context
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound
from prefect.futures import as_completed, wait
from prefect.settings import (
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from prefect_governor.flows.background import ServerInfo
from prefect_governor.flows.runner import GovernedTaskRunner, LoopWouldBlock

# Prefect's own clients and websockets are left to the garbage collector, under either runner.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_SECONDS = 90.0

Runner = Callable[[], TaskRunner[Any]]


@pytest.fixture(scope="module", autouse=True)
def quick_flows(server: ServerInfo) -> Iterator[None]:
    with temporary_settings(
        {
            # The heartbeat thread of a flow run ends up to a second after the flow.
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            # A client that reads the certificates of the machine takes a tenth of a second.
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
        }
    ):
        yield


@pytest.fixture(params=[ThreadPoolTaskRunner, GovernedTaskRunner], ids=["threads", "governed"])
def runner(request: pytest.FixtureRequest) -> TaskRunner[Any]:
    return request.param()


@task
async def double(x: int) -> int:
    return x * 2


@task
def double_sync(x: int) -> int:
    return x * 2


@task
async def fail(message: str) -> None:
    raise ValueError(message)


@task
async def add(x: int, y: int = 10) -> int:
    return x + y


@task
async def total(numbers: list[int], extra: dict[str, Any] | None = None) -> int:
    return sum(numbers) + sum((extra or {}).values())


@pytest.mark.parametrize("mapped", [double, double_sync], ids=["async_task", "sync_task"])
def test_map_keeps_the_order_in_a_sync_flow(runner: TaskRunner[Any], mapped: Any) -> None:
    @flow(task_runner=runner)
    def run() -> list[int]:
        return mapped.map(range(12)).result()

    assert run() == [2 * x for x in range(12)]


@pytest.mark.parametrize("mapped", [double, double_sync], ids=["async_task", "sync_task"])
async def test_map_keeps_the_order_in_an_async_flow(runner: TaskRunner[Any], mapped: Any) -> None:
    @flow(task_runner=runner)
    async def run() -> list[int]:
        return mapped.map(range(12)).result()

    assert await run() == [2 * x for x in range(12)]


def test_map_returns_states_and_the_exceptions_in_them(runner: TaskRunner[Any]) -> None:
    @task
    async def odd_only(x: int) -> int:
        if x % 2 == 0:
            raise ValueError(f"{x} is even")
        return x

    @flow(task_runner=runner)
    def run() -> list[tuple[str, Any]]:
        states = odd_only.map(range(4), return_state=True)
        return [(s.type.value, s.result(raise_on_failure=False)) for s in states]

    kinds, results = zip(*run(), strict=True)
    assert kinds == ("FAILED", "COMPLETED", "FAILED", "COMPLETED")
    assert [str(r) for r in results] == ["0 is even", "1", "2 is even", "3"]


def test_map_takes_unmapped_defaults_and_futures(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    def run() -> tuple[list[int], list[int], list[int]]:
        doubled = double.map([1, 2, 3])
        return (
            add.map([1, 2], y=unmapped(5)).result(),
            add.map([1, 2]).result(),
            add.map(doubled, y=unmapped(double.submit(50))).result(),
        )

    assert run() == ([6, 7], [11, 12], [102, 104, 106])


def test_futures_at_any_depth_of_a_parameter_are_resolved(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    def run() -> int:
        return total.submit(
            [double.submit(1), double_sync.submit(2)], {"deep": double.submit(10)}
        ).result()

    assert run() == 2 + 4 + 20


def test_a_chain_of_futures_does_not_block_what_it_waits_for(runner: TaskRunner[Any]) -> None:
    gate = threading.Event()

    @task
    async def gated() -> int:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)
        return 1

    @flow(task_runner=runner)
    def run() -> tuple[int, int]:
        first = future = gated.submit()
        for _ in range(4):
            future = double.submit(future)
        after = double.submit(21, wait_for=[first])
        gate.set()
        return future.result(timeout=PATIENCE_SECONDS), after.result(timeout=PATIENCE_SECONDS)

    assert run() == (2**4, 42)


def test_wait_for_orders_without_passing_data(runner: TaskRunner[Any]) -> None:
    seen: list[str] = []
    gate = threading.Event()

    @task
    async def first() -> None:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)
        seen.append("first")

    @task
    def second() -> None:
        seen.append("second")

    @flow(task_runner=runner)
    def run() -> None:
        future = first.submit()
        after = second.submit(wait_for=[future])
        gate.set()
        after.wait()

    run()
    assert seen == ["first", "second"]


def test_a_failed_upstream_leaves_its_dependents_not_ready(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    def run() -> list[str]:
        failed = fail.submit("no")
        by_value = double.submit(failed)
        by_order = double.submit(1, wait_for=[failed])
        further = double.submit(by_value)
        wait([by_value, by_order, further])
        return [f.state.name for f in (by_value, by_order, further)]

    assert run() == ["NotReady"] * 3


def test_allow_failure_hands_the_exception_on(runner: TaskRunner[Any]) -> None:
    @task
    async def describe(x: Any) -> str:
        return f"{type(x).__name__}: {x}"

    @flow(task_runner=runner)
    def run() -> tuple[str, list[str]]:
        failed = fail.submit("no")
        return (
            describe.submit(allow_failure(failed)).result(),
            describe.map(allow_failure([failed, double.submit(1)])).result(),
        )

    assert run() == ("ValueError: no", ["ValueError: no", "int: 2"])


def test_a_quoted_future_is_handed_over_unresolved(runner: TaskRunner[Any]) -> None:
    @task
    def kind(x: Any) -> str:
        return type(x).__name__

    @flow(task_runner=runner)
    def run() -> str:
        return kind.submit(quote([double.submit(1)])).result()

    assert run() == "list"


def test_as_completed_yields_in_the_order_of_completion(runner: TaskRunner[Any]) -> None:
    gate = threading.Event()

    @task
    async def gated() -> str:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)
        return "gated"

    @task
    async def free() -> str:
        return "free"

    @flow(task_runner=runner)
    def run() -> list[str]:
        seen = []
        for future in as_completed([gated.submit(), free.submit()]):
            seen.append(future.result())
            gate.set()
        return seen

    assert run() == ["free", "gated"]


def test_wait_with_a_timeout_tells_done_from_not_done(runner: TaskRunner[Any]) -> None:
    gate = threading.Event()

    @task
    async def gated() -> None:
        await asyncio.to_thread(gate.wait, PATIENCE_SECONDS)

    @flow(task_runner=runner)
    def run() -> tuple[int, int, str]:
        free, held = double.submit(1), gated.submit()
        free.wait()
        done, not_done = wait([free, held], timeout=0.05)
        try:
            held.result(timeout=0.01)
            late = "no timeout"
        except TimeoutError:
            late = "timeout"
        gate.set()
        held.wait()
        return len(done), len(not_done), late

    assert run() == (1, 1, "timeout")


def test_done_callbacks_are_called_once_before_and_after(runner: TaskRunner[Any]) -> None:
    called: list[UUID] = []

    @flow(task_runner=runner)
    def run() -> list[UUID]:
        future = double.submit(1)
        future.add_done_callback(lambda f: called.append(f.task_run_id))
        future.wait()
        future.add_done_callback(lambda f: called.append(f.task_run_id))
        return [future.task_run_id] * 2

    assert run() == called


@pytest.mark.parametrize("delay", [0, 0.01])
@pytest.mark.parametrize("is_async", [True, False])
def test_retries_are_made_with_their_delay(
    runner: TaskRunner[Any], delay: float, is_async: bool
) -> None:
    attempts: list[int] = []

    def body() -> int:
        attempts.append(get_run_context().task_run.run_count)  # type: ignore[union-attr]
        if len(attempts) < 3:
            raise ConnectionError("again")
        return len(attempts)

    @task(retries=2, retry_delay_seconds=delay)
    async def flaky() -> int:
        return body()

    @task(retries=2, retry_delay_seconds=delay)
    def flaky_sync() -> int:
        return body()

    @flow(task_runner=runner)
    def run() -> int:
        return (flaky if is_async else flaky_sync).submit().result()

    assert run() == 3
    assert attempts == [1, 2, 3]


def test_a_retry_condition_ends_the_retries(runner: TaskRunner[Any]) -> None:
    attempts: list[int] = []

    @task(retries=5, retry_condition_fn=lambda task, run, state: False)
    async def hopeless() -> None:
        attempts.append(1)
        raise ValueError("400")

    @flow(task_runner=runner)
    def run() -> str:
        return hopeless.submit(return_state=True).name

    assert run() == "Failed"
    assert attempts == [1]


def test_a_timeout_ends_an_async_task(runner: TaskRunner[Any]) -> None:
    @task(timeout_seconds=0.05)
    async def forever() -> None:
        await asyncio.Event().wait()

    @flow(task_runner=runner)
    def run() -> list[str]:
        return [s.name for s in (forever.submit(return_state=True), double.submit(1).state)]

    assert run()[0] == "TimedOut"


def test_result_raises_the_tasks_exception_or_returns_it(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    def run() -> Any:
        future = fail.submit("mine")
        with pytest.raises(ValueError, match="mine"):
            future.result()
        return repr(future.result(raise_on_failure=False))

    assert run() == "ValueError('mine')"


def test_a_list_of_futures_raises_the_first_failure(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    def run() -> None:
        futures = fail.map(["a", "b"])
        with pytest.raises(ValueError):
            futures.result()
        assert [str(r) for r in futures.result(raise_on_failure=False)] == ["a", "b"]

    run()


def test_a_crash_is_that_tasks_alone(runner: TaskRunner[Any]) -> None:
    @task
    async def crash() -> None:
        raise SystemExit(3)

    @flow(task_runner=runner)
    def run() -> tuple[str, int]:
        crashed, other = crash.submit(), double.submit(4)
        try:
            crashed.wait()
            outcome = crashed.state.type.value
        except BaseException as exc:
            outcome = type(exc).__name__
        return outcome, other.result()

    assert run() == ("SystemExit", 8)


def test_a_child_awaited_by_a_blocked_parent_still_runs(runner: TaskRunner[Any]) -> None:
    @task
    async def leaf(x: int) -> int:
        return x + 1

    @task
    async def middle(x: int) -> int:
        return leaf.submit(x).result(timeout=PATIENCE_SECONDS) + sum(leaf.map([x, x]).result())

    @task
    def top(x: int) -> int:
        return middle.submit(x).result(timeout=PATIENCE_SECONDS)

    @task
    async def top_async(x: int) -> int:
        return middle.submit(x).result(timeout=PATIENCE_SECONDS)

    @flow(task_runner=runner)
    def run() -> list[int]:
        return top.map([1, 2]).result() + top_async.map([1, 2, 3]).result()

    assert run() == [6, 9, 6, 9, 12]


def test_a_subflow_runs_inside_a_task(runner: TaskRunner[Any]) -> None:
    @flow(task_runner=runner)
    async def inner(x: int) -> list[int]:
        return double.map([x, x + 1]).result()

    @task
    async def outer(x: int) -> list[int]:
        return await inner(x)

    @flow(task_runner=runner)
    def run() -> list[list[int]]:
        return outer.map([1, 5]).result()

    assert run() == [[2, 4], [10, 12]]


def test_context_variables_are_copied_at_submit(runner: TaskRunner[Any]) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @task
    async def read_and_set() -> str:
        before = variable.get()
        variable.set("by a task")
        return before

    @task
    def read_sync() -> str:
        return variable.get()

    @flow(task_runner=runner)
    def run() -> list[str]:
        variable.set("a")
        first = read_and_set.submit()
        variable.set("b")
        futures = [first, read_and_set.submit(), read_sync.submit()]
        return [f.result() for f in futures] + [variable.get()]

    assert run() == ["a", "b", "b", "b"]


def test_logs_carry_the_task_run(runner: TaskRunner[Any]) -> None:
    records: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    @task
    async def say(x: int) -> str:
        get_run_logger().warning("said %s", x)
        return str(get_run_context().task_run.id)  # type: ignore[union-attr]

    @flow(task_runner=runner)
    def run() -> list[str]:
        return say.map([1, 2]).result()

    logger, handler = logging.getLogger("prefect.task_runs"), Collect()
    logger.addHandler(handler)
    try:
        ids = run()
    finally:
        logger.removeHandler(handler)
    said = {r.getMessage(): r.task_run_id for r in records if r.getMessage().startswith("said")}
    assert said == {"said 1": ids[0], "said 2": ids[1]}


def test_hooks_are_called(runner: TaskRunner[Any]) -> None:
    called: list[str] = []

    def hook(task: Any, run: Any, state: State[Any]) -> None:
        called.append(state.name or "")

    @task(on_completion=[hook], on_running=[hook])
    async def fine() -> None: ...

    @task(on_failure=[hook])
    def broken() -> None:
        raise ValueError

    @flow(task_runner=runner)
    def run() -> None:
        fine.submit().wait()
        broken.submit().wait()

    run()
    assert called == ["Running", "Completed", "Failed"]


def test_a_cached_result_is_not_computed_again(runner: TaskRunner[Any]) -> None:
    computed: list[int] = []
    salt = time.time_ns()

    @task(cache_policy=INPUTS, persist_result=True)
    async def compute(x: int, salt: int) -> int:
        computed.append(x)
        return x

    @flow(task_runner=runner)
    def run() -> list[str]:
        return [compute.submit(7, salt=salt, return_state=True).name for _ in range(2)]

    assert run() == ["Completed", "Cached"]
    assert computed == [7]


@pytest.mark.parametrize("is_async", [True, False])
def test_generator_tasks_end_as_under_prefects_runner(
    runner: TaskRunner[Any], is_async: bool
) -> None:
    @task
    async def stream() -> Any:
        yield 1

    @task
    def stream_sync() -> Any:
        yield 1

    @flow(task_runner=runner)
    def run() -> str:
        state = (stream if is_async else stream_sync).submit().wait  # nothing is consumed
        state()
        return "ended"

    assert run() == "ended"


def _recorded(task_run_id: UUID) -> Any:
    """The task run as the server has it once its final event has arrived."""
    EventsWorker.drain_all()
    deadline = time.monotonic() + PATIENCE_SECONDS
    with get_client(sync_client=True) as client:
        while True:
            try:
                task_run = client.read_task_run(task_run_id)
                if task_run.state is not None and task_run.state.is_final():
                    return task_run
            except ObjectNotFound:
                pass
            assert time.monotonic() < deadline, "the task run was never recorded"
            threading.Event().wait(0.1)


def test_the_server_records_tags_and_dependencies(runner: TaskRunner[Any]) -> None:
    @task(tags=["llm"])
    async def tagged(x: int) -> list[str]:
        return sorted(get_run_context().task_run.tags)  # type: ignore[union-attr]

    ids: dict[str, UUID] = {}

    @flow(task_runner=runner)
    def run() -> list[str]:
        upstream, before = double.submit(1), double.submit(2)
        with tags("nightly"):
            future = tagged.submit(upstream, wait_for=[before])
        ids.update(
            upstream=upstream.task_run_id, before=before.task_run_id, future=future.task_run_id
        )
        return future.result()

    assert run() == ["llm", "nightly"]
    recorded = _recorded(ids["future"])
    assert sorted(recorded.tags) == ["llm", "nightly"]
    assert [i.id for i in recorded.task_inputs["x"]] == [ids["upstream"]]
    assert [i.id for i in recorded.task_inputs["wait_for"]] == [ids["before"]]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_tag_limit_that_exists_is_honoured(runner: TaskRunner[Any], is_async: bool) -> None:
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

    @flow(task_runner=runner)
    def run() -> None:
        (alone if is_async else alone_sync).map([1, 2]).wait()

    run()
    assert overlaps == [False, True], "the control: without a limit the two overlap"
    overlaps.clear()
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=f"tag:{tag}", limit=1)
        )
    _forget_that_there_was_no_limit()
    run()
    assert overlaps == [False, False]


def _forget_that_there_was_no_limit() -> None:
    """Prefect remembers for 5 s; the test does not sit that out."""
    from prefect.concurrency import services

    services._no_limits_cache.clear()


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
    assert all(abs(x - place) <= 1 for place, x in enumerate(started))


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


def test_leaving_on_ctrl_c_stops_what_runs() -> None:
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
    of_limits = [p for p in paths if "concurrency_limits" in p]
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
