"""Slots outside of calls, alone or under a limit: counted, waited for, always given back."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, QueueTimeout
from prefect_governor.blocks.governor import Governor, governed
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.work.registry import stop_all

pytestmark = pytest.mark.usefixtures("home")
WAREHOUSE = [Limit(tag="warehouse", max_concurrent=2), Limit(tag="cpu", max_concurrent=1)]


@pytest.fixture
def governor() -> Governor:
    return Governor.local("slots", max_usd=1, limits=WAREHOUSE)


def in_flight(governor: Governor, name: str) -> int:
    runtime = governor.runtime
    # What was given back before is committed by now.
    runtime.desk.write(lambda _: None).result(20)
    gate = runtime.desk.store.read_gate(runtime.limit_named(name).key)
    assert gate is not None
    return gate.in_flight


def held(governor: Governor) -> list[str | None]:
    calls = governor.runtime.desk.store.read_calls(("reserved", "released", "unconfirmed", "spent"))
    return [call.attribution.label for call in calls]


def test_a_slot_is_counted_while_it_is_held_and_leaves_nothing_behind(governor: Governor) -> None:
    with governor.slot("warehouse", tags=("nightly",)):
        assert in_flight(governor, "warehouse") == 1
        assert held(governor) == ["slot warehouse"]
        assert governor.runtime.desk.store.read_spend("label", {}) == {}
    assert in_flight(governor, "warehouse") == 0 and held(governor) == []


def test_slots_are_given_back_when_the_work_inside_fails(governor: Governor) -> None:
    with pytest.raises(RuntimeError, match="bad"), governor.slot("cpu"):
        raise RuntimeError("bad")
    with pytest.raises(RuntimeError, match="bad"), governor.exclusive("k"):
        raise RuntimeError("bad")
    assert held(governor) == []


async def test_no_more_hold_slots_at_once_than_the_limit_has(governor: Governor) -> None:
    at_work = most = 0

    async def work() -> None:
        nonlocal at_work, most
        async with governor.slot("warehouse"):
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.01)
            at_work -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert (most, in_flight(governor, "warehouse")) == (2, 0)


async def test_who_is_cancelled_while_it_waits_takes_nothing(governor: Governor) -> None:
    async def wait() -> None:
        async with governor.slot("cpu"):
            raise AssertionError("there is none")

    with governor.slot("cpu"):
        # In a context of its own: it is not inside this block.
        waiting = contextvars.Context().run(asyncio.get_running_loop().create_task, wait())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    with governor.slot("cpu"):
        assert in_flight(governor, "cpu") == 1


def test_an_unknown_limit_is_refused_with_those_that_there_are(governor: Governor) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"no limit 'gpu'; its limits are: 'cpu', 'ware"),
        governor.slot("gpu"),
    ):
        pass


def test_a_slot_asked_for_inside_the_last_one_is_refused_as_a_deadlock(governor: Governor) -> None:
    makers: list[Callable[[], Any]] = [
        lambda: governor.slot("cpu"),
        lambda: governor.exclusive("report.md"),
    ]
    for made in makers:
        with made(), pytest.raises(ConfigurationError, match="deadlock"), made():
            pass
    with governor.slot("warehouse"), governor.slot("warehouse"), governor.exclusive("other"):
        assert in_flight(governor, "warehouse") == 2


def test_a_slot_that_is_only_observed_is_no_deadlock() -> None:
    governor = Governor.local("only-seen", max_usd=1, limits=WAREHOUSE, mode="observe")
    with governor.slot("cpu"), governor.slot("cpu"):
        assert in_flight(governor, "cpu") == 2


def test_entering_a_slot_again_leaves_it_to_who_has_it(governor: Governor) -> None:
    slot = governor.slot("cpu")
    with slot:
        with pytest.raises(ConfigurationError, match="entered before"), slot:
            pass
        assert in_flight(governor, "cpu") == 1
    with pytest.raises(ConfigurationError, match="entered before"), slot:
        pass
    assert in_flight(governor, "cpu") == 0


def test_a_slot_is_given_back_from_an_exit_stack_too(governor: Governor) -> None:
    with ExitStack() as stack:
        stack.enter_context(governor.slot("cpu"))
        stack.enter_context(governor.exclusive("k"))
        assert in_flight(governor, "cpu") == 1
    assert in_flight(governor, "cpu") == 0 and held(governor) == []


def test_a_thread_with_the_number_of_one_that_ended_is_not_who_holds(governor: Governor) -> None:
    """The system gives numbers again, and a context is handed on from thread to thread."""
    slots: list[Any] = []

    def hold() -> tuple[int, contextvars.Context]:
        slots.append(governor.exclusive("k"))
        slots[0].__enter__()
        return threading.get_ident(), contextvars.copy_context()

    number, context = _in_thread(hold)

    def ask() -> bool:
        if threading.get_ident() != number:
            return False
        with (
            pytest.raises(QueueTimeout),
            governor.exclusive("k", queue_timeout_seconds=0.05),
        ):
            pass
        return True

    assert any(_in_thread(lambda: context.run(ask)) for _ in range(1000)), "no number came again"
    slots[0].__exit__(None, None, None)


def test_the_patience_of_a_slot_is_its_own(governor: Governor) -> None:
    def late() -> None:
        with (
            pytest.raises(QueueTimeout, match="1 of 1 slots of limit 'exclusive k' are taken"),
            governor.exclusive("k", queue_timeout_seconds=0.05),
        ):
            pass

    with governor.exclusive("k"), ThreadPoolExecutor(1) as pool:
        pool.submit(late).result(20)


def test_holders_of_a_key_never_overlap_and_go_in_the_order_of_asking(governor: Governor) -> None:
    order: list[int] = []
    inside = threading.Lock()
    asked = threading.Event()

    def work(number: int) -> None:
        asked.set()
        with governor.exclusive("report.md"):
            assert inside.acquire(blocking=False), "two hold it"
            order.append(number)
            inside.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with governor.exclusive("report.md"):
        for number, thread in enumerate(threads):
            thread.start()
            _until(lambda number=number: _waiting(governor) == number + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(20)
    assert order == list(range(8))


def test_a_key_is_held_alone_also_where_calls_are_only_observed() -> None:
    governor = Governor.local("seen", max_usd=1, limits=WAREHOUSE, mode="observe")

    def late() -> None:
        with (
            pytest.raises(QueueTimeout),
            governor.exclusive("k", queue_timeout_seconds=0.05),
        ):
            pass

    with governor.exclusive("k"), ThreadPoolExecutor(1) as pool:
        pool.submit(late).result(20)


def test_a_function_is_one_task_for_a_limit_that_counts_tasks() -> None:
    governor = Governor.local(
        "tasks", max_usd=1, limits=[Limit(tag="cpu", max_concurrent=1, counts="tasks")]
    )
    seen: list[int] = []

    @governed(governor, tags=("cpu",))
    def inner() -> None:
        seen.append(in_flight(governor, "cpu"))

    @governed(governor, tags=("cpu",))
    def outer() -> None:
        seen.append(in_flight(governor, "cpu"))
        inner()

    @governed(governor)
    def untagged() -> None:
        seen.append(in_flight(governor, "cpu"))

    outer()
    untagged()
    assert seen == [1, 1, 0]
    stop_all()


def test_a_limit_of_tasks_knows_no_tokens_and_no_models() -> None:
    with pytest.raises(ValueError, match="tokens_per_minute: a limit that counts tasks"):
        Limit(tag="cpu", counts="tasks", tokens_per_minute=5)
    limit = Limit(tag="cpu", counts="tasks", max_concurrent=1)
    assert not limit.applies_to(tags=("cpu",), model="openai/gpt-4o-mini")
    assert limit.applies_to_task(("cpu", "x")) and not limit.applies_to_task(("x",))


def _in_thread(work: Callable[[], Any]) -> Any:
    """In one of its own, which has ended then."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def _waiting(governor: Governor) -> int:
    runtime = governor.runtime
    key = runtime.exclusive("report.md")
    return runtime.desk.write(lambda _: runtime.desk._queue.by_limit().get(key, 0)).result(20)


def _until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
    raise AssertionError("it never came to be")
