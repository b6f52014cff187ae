"""Items that share a task run hold each other up in nothing, and none is left without an end."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from prefect_governor.flows.handfuls.handful import Handful

Work = Callable[[], Awaitable[Any]]


def hand(handful: Handful, position: int, work: Work) -> "Future[Any]":
    outcome: Future[Any] = Future()
    assert handful.expect(position, outcome)
    handful.begin(work, outcome)
    return outcome


async def answer() -> str:
    return "an answer"


async def fail() -> str:
    raise ValueError("it is wrong")


async def end_the_loop() -> str:
    raise SystemExit(3)


def test_a_slow_item_holds_up_no_other_and_the_run_ends_with_it() -> None:
    async def check() -> None:
        handful, go_on = Handful(3), asyncio.Event()

        async def slow() -> str:
            await go_on.wait()
            return "late"

        running = asyncio.create_task(handful.run())
        late = hand(handful, 0, slow)
        for position in (1, 2):
            assert await asyncio.wrap_future(hand(handful, position, answer)) == "an answer"
        assert not handful.has_room and not handful.expect(3, Future())
        assert not running.done() and not late.done()
        go_on.set()
        await running
        assert late.result() == "late"
        assert (handful.succeeded, handful.failed) == (3, {})

    asyncio.run(check())


def test_items_come_from_other_threads_before_and_after_it_runs() -> None:
    handful = Handful(40)
    outcomes = [hand(handful, at, answer) for at in range(10)]

    async def run_with_others() -> None:
        def feed() -> None:
            outcomes.extend(hand(handful, at, answer) for at in range(10, 40))

        thread = threading.Thread(target=feed)
        thread.start()
        await handful.run()
        thread.join()

    asyncio.run(run_with_others())
    assert [each.result(0) for each in outcomes] == ["an answer"] * 40
    assert handful.positions == list(range(40))


def test_what_an_item_dies_of_is_its_own() -> None:
    async def check() -> list[Future[Any]]:
        handful = Handful(4)
        works = (fail, end_the_loop, answer, answer)
        outcomes = [hand(handful, at, work) for at, work in enumerate(works)]
        await handful.run()
        assert handful.succeeded == 2
        assert [type(error) for error in handful.failed.values()] == [ValueError, SystemExit]
        return outcomes

    outcomes = asyncio.run(check())
    assert isinstance(outcomes[0].exception(0), ValueError)
    assert isinstance(outcomes[1].exception(0), SystemExit)
    assert outcomes[3].result(0) == "an answer"


def test_closed_it_ends_with_those_that_it_has() -> None:
    async def check() -> None:
        handful = Handful(100)
        running = asyncio.create_task(handful.run())
        outcome = hand(handful, 0, answer)
        await asyncio.wrap_future(outcome)
        assert not running.done()
        handful.close()
        await running

    asyncio.run(check())


def test_an_item_that_was_ended_before_it_began_does_not_begin() -> None:
    async def check() -> None:
        handful = Handful(2)
        outcome: Future[Any] = Future()
        handful.expect(0, outcome)
        outcome.cancel()
        handful.begin(end_the_loop, outcome)
        # One that memory holds back is never begun at all.
        held: Future[Any] = Future()
        handful.expect(1, held)
        running = asyncio.create_task(handful.run())
        await asyncio.sleep(0)
        held.cancel()
        await running
        assert list(handful.failed) == [0, 1]

    asyncio.run(check())


def test_cancelled_it_cancels_its_items_and_the_rest_ends_as_it_did() -> None:
    cleaned: list[int] = []

    async def check() -> tuple[Future[Any], Future[Any]]:
        handful = Handful(5)

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(1)

        running = asyncio.create_task(handful.run())
        begun = hand(handful, 0, work)
        waiting: Future[Any] = Future()
        handful.expect(1, waiting)
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        handful.give_up(RuntimeError("the task run crashed"))
        assert not handful.has_room
        return begun, waiting

    begun, waiting = asyncio.run(check())
    assert cleaned == [1]
    assert isinstance(begun.exception(0), asyncio.CancelledError)
    assert isinstance(waiting.exception(0), RuntimeError)


def test_a_run_that_is_given_up_leaves_no_item_without_an_end() -> None:
    handful = Handful(3)
    outcomes = [hand(handful, at, answer) for at in range(3)]
    handful.give_up(concurrent.futures.CancelledError())
    assert all(each.done() for each in outcomes)
    asyncio.run(handful.run())
    assert handful.succeeded == 0
