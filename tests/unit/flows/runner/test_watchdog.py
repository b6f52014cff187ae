"""The watchdog names what holds a loop, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import task
from prefect.context import TaskRunContext

from prefect_governor.flows.runner.watchdog import Watchdog

PATIENCE_SECONDS = 30.0


class _Loop:
    """A loop in a thread, whose steps the test begins and ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    @contextmanager
    def holding(self, run: Any) -> Iterator[None]:
        begun, release = threading.Event(), threading.Event()

        def step() -> None:
            TaskRunContext.__var__.set(run)
            begun.set()
            release.wait(PATIENCE_SECONDS)

        self.loop.call_soon_threadsafe(step)
        assert begun.wait(PATIENCE_SECONDS)
        try:
            yield
        finally:
            release.set()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class _Run:
    """What the watchdog reads of a `TaskRunContext`."""

    def __init__(self, name: str) -> None:
        @task(name=name)
        async def fn() -> None: ...

        self.task = fn


@pytest.fixture
def loop() -> Iterator[_Loop]:
    running = _Loop()
    yield running
    running.end()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    return lambda: [record.getMessage() for record in caplog.records]


class _Looks:
    """A watchdog whose looks and time are the test's."""

    def __init__(self, loop: _Loop) -> None:
        self.now = 0.0
        self.watchdog = Watchdog(
            logger=logging.getLogger("watchdog-test"), look_seconds=0.05, clock=lambda: self.now
        )
        assert loop.thread.ident is not None
        self.watchdog._steps[loop.thread.ident] = None  # its own thread is not started

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.watchdog.look()


def test_a_task_that_holds_the_loop_is_named_once_with_the_fix(
    loop: _Loop, said: Callable[[], list[str]]
) -> None:
    looks = _Looks(loop)
    for _ in range(2):
        with loop.holding(_Run("review")):
            for _ in range(20):
                looks.after(0.05)
        looks.after(0.05)
    (message,) = said()
    assert "'review'" in message
    assert "250 ms" in message
    assert "asyncio.to_thread" in message
    assert "isolate={'review'}" in message
    assert "test_watchdog.py" in message


def test_a_task_of_this_package_is_not_named_to_people_who_cannot_change_it(
    loop: _Loop, said: Callable[[], list[str]]
) -> None:
    looks, run = _Looks(loop), _Run("sub-agent")
    run.task.fn.__module__ = "prefect_governor.flows.subagent.subagent"
    with loop.holding(run):
        for _ in range(20):
            looks.after(0.05)
    assert said() == []


def test_many_short_steps_are_not_one_long_one(loop: _Loop, said: Callable[[], list[str]]) -> None:
    looks = _Looks(loop)
    for _ in range(10):
        with loop.holding(_Run("quick")):
            looks.after(0.05)
            looks.after(0.05)
    assert said() == []


def test_an_idle_loop_and_a_step_of_no_task_are_not_named(
    loop: _Loop, said: Callable[[], list[str]]
) -> None:
    looks = _Looks(loop)
    for _ in range(20):
        looks.after(0.05)
    with loop.holding(None):
        for _ in range(20):
            looks.after(0.05)
    assert said() == []


def test_closing_ends_its_thread() -> None:
    watchdog = Watchdog(logger=logging.getLogger("watchdog-test"))
    watchdog.watch(threading.get_ident())
    watchdog.close()
    assert "governed-watchdog" not in [thread.name for thread in threading.enumerate()]


def test_no_garbage_is_collected_while_the_frames_are_read_which_would_stop_all_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, collecting = sys._current_frames, []

    def read() -> dict[int, Any]:
        collecting.append(gc.isenabled())
        return frames()

    monkeypatch.setattr(sys, "_current_frames", read)
    assert gc.isenabled()
    Watchdog(logger=logging.getLogger(__name__)).look()
    assert collecting == [False]
    assert gc.isenabled()
