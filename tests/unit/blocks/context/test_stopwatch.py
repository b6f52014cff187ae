"""A task's time stands still in the queue, and only there."""

from __future__ import annotations

import contextvars

from prefect_governor.blocks.context.stopwatch import (
    Stopwatch,
    current_stopwatch,
    in_flight,
    queueing,
)
from tests.unit.clocks import Seconds


def watch(seconds: float, time: Seconds, outer: Stopwatch | None = None) -> Stopwatch:
    return Stopwatch(seconds, lambda: None, outer=outer, clock=time)


def test_time_outside_the_queue_counts() -> None:
    time = Seconds()
    of_task = watch(5, time)
    time.now += 2
    assert of_task.deadline() == 105


def test_time_in_the_queue_does_not_count() -> None:
    time = Seconds()
    of_task = watch(5, time)
    time.now += 2
    of_task.wait_begins("a")
    time.now += 1000
    assert of_task.deadline() is None
    of_task.wait_ends("a")
    assert of_task.deadline() == time.now + 3


def test_it_stands_still_until_the_last_of_several_waits_ends() -> None:
    time = Seconds()
    of_task = watch(5, time)
    of_task.wait_begins("a")
    of_task.wait_begins("b")
    of_task.wait_ends("a")
    of_task.wait_ends("a")
    time.now += 100
    assert of_task.deadline() is None, "one that ended twice is still one"
    of_task.wait_ends("b")
    assert of_task.deadline() == time.now + 5
    of_task.wait_ends("b")
    assert of_task.deadline() == time.now + 5


def test_a_call_that_hangs_is_ended_though_others_wait_behind_it() -> None:
    time = Seconds()
    of_task = watch(5, time)
    of_task.wait_begins("a")
    of_task.wait_begins("b")
    of_task.wait_ends("a")
    lands = of_task.flight()
    time.now += 3
    assert of_task.deadline() == 105
    lands()
    lands()
    assert of_task.deadline() is None, "it landed: nothing is measured while the other waits"


def test_the_work_that_it_is_part_of_stands_still_too() -> None:
    time = Seconds()
    parent = watch(10, time)
    child = watch(5, time, outer=parent)
    child.wait_begins("a")
    time.now += 100
    assert parent.deadline() is None
    child.wait_ends("a")
    assert parent.deadline() == time.now + 10


def test_whoever_enforces_hears_of_every_change() -> None:
    heard: list[float | None] = []
    time = Seconds()
    of_task = Stopwatch(5, lambda: heard.append(of_task.deadline()), clock=time)
    of_task.wait_begins("a")
    lands = of_task.flight()
    of_task.wait_begins("b")
    lands()
    of_task.wait_ends("a")
    time.now += 1
    of_task.wait_ends("b")
    assert heard == [None, 105, None, None, 106]


def test_waits_find_the_watch_of_their_context() -> None:
    time = Seconds()
    of_task = watch(5, time)

    def waits() -> float | None:
        current_stopwatch.set(of_task)
        with queueing():
            return of_task.deadline()

    assert contextvars.copy_context().run(waits) is None
    assert of_task.deadline() == 105
    with queueing():
        in_flight()()
        assert of_task.deadline() == 105, "another context's wait is nothing to it"
