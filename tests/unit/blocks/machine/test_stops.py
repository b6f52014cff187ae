"""A stop is set once, and all that is under it knows."""

import asyncio
import sys
import threading
from itertools import count
from types import FrameType

import pytest

from prefect_governor.blocks.errors import RunStopped
from prefect_governor.blocks.machine import stops
from prefect_governor.blocks.machine.stops import (
    STOPPED,
    Stop,
    check_not_stopped,
    current_stop,
    under,
)
from tests.profiled import BREAKS


class interrupted:
    """Does something with a stop, and is interrupted at a step of it; `so` where it was."""

    def __init__(self, does: str, step: int) -> None:
        self.so = False
        self._does, self._step = does, step

    def __call__(self, stop: Stop) -> None:
        try:
            sys.setprofile(self._look)
            if self._does == "wait":
                stop.wait(0.001)
            else:
                stop.set()
        except Landed:
            self.so = True
        finally:
            sys.setprofile(None)

    def _look(self, frame: FrameType, *_: object) -> None:
        if frame.f_code is interrupted.__call__.__code__:
            return
        self._step -= 1
        if self._step == 0:
            sys.setprofile(None)
            raise Landed


def test_what_is_under_it_is_stopped_with_it_and_not_the_other_way_round() -> None:
    outer = Stop()
    inner, late = Stop(outer), Stop()
    late.set()
    assert not outer.is_set()
    outer.set("told to end")
    outer.set("told again")
    assert inner.is_set() and inner.reason == outer.reason == "told to end"
    assert late.reason == STOPPED
    assert Stop(outer).is_set()


def test_code_under_it_does_not_begin_once_it_is_set() -> None:
    check_not_stopped()
    with under(Stop()) as stop:
        check_not_stopped()
        stop.set("told to end")
        with pytest.raises(RunStopped, match="told to end"):
            check_not_stopped()
    assert current_stop() is None


def test_who_waits_for_it_in_a_thread_goes_on_when_it_is_set_or_the_time_is_over() -> None:
    stop = Stop()
    assert stop.wait(0) is False
    went = threading.Event()

    def wait() -> None:
        if stop.wait():
            went.set()

    threading.Thread(target=wait, daemon=True).start()
    stop.set()
    assert went.wait(30) and stop.wait(0) is True


class Landed(Exception):
    """An interruption, as a task's timeout or Ctrl-C is one."""


@BREAKS
@pytest.mark.parametrize("does", ["wait", "set"])
def test_wherever_one_is_interrupted_who_sets_it_next_is_not_held_up(
    does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Those that other tests left open are not to be interrupted with a lock in their hands, which
    # no signal does.
    monkeypatch.setattr(stops, "_desks", tuple)
    for step in count(1):
        stop, landed = Stop(), interrupted(does, step)
        landed(stop)
        setting = threading.Thread(target=stop.set, daemon=True)
        setting.start()
        setting.join(10)
        assert not setting.is_alive(), f"interrupted in `{does}` at step {step}"
        if not landed.so:
            break
    assert step > 5


async def test_who_awaits_it_goes_on_when_it_is_set_from_any_thread() -> None:
    stop = Stop()
    waits = [asyncio.create_task(stop.wait_async(3600)) for _ in range(3)]
    await asyncio.sleep(0)
    threading.Thread(target=stop.set).start()
    await asyncio.gather(*waits)
    await stop.wait_async(3600)


async def test_who_awaits_it_for_so_long_goes_on_then() -> None:
    await Stop().wait_async(0.001)
