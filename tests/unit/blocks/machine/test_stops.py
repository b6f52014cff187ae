"""A stop is set once, and all that is under it knows."""

import asyncio
import threading

import pytest

from prefect_governor.blocks.errors import RunStopped
from prefect_governor.blocks.machine.stops import (
    STOPPED,
    Stop,
    check_not_stopped,
    current_stop,
    under,
)


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


async def test_who_awaits_it_goes_on_when_it_is_set_from_any_thread() -> None:
    stop = Stop()
    waits = [asyncio.create_task(stop.wait_async(3600)) for _ in range(3)]
    await asyncio.sleep(0)
    threading.Thread(target=stop.set).start()
    await asyncio.gather(*waits)
    await stop.wait_async(3600)


async def test_who_awaits_it_for_so_long_goes_on_then() -> None:
    await Stop().wait_async(0.001)
