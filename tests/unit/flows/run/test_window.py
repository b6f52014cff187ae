"""Enough items under way to fill the cap, few enough to hold in memory, none left behind."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.run.window import SPARE, UNCAPPED, Window


class Future:
    """A task run that ends when it is told to."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def end(self) -> None:
        for callback in self._callbacks:
            callback(self)


def start(window: Window, *, stopped: bool = False) -> dict[int, Future]:
    futures = {position: Future() for position in window.next_batch(stopped=stopped)}
    for position, future in futures.items():
        window.started(position, cast(Any, future))
    return futures


@given(
    count=st.integers(0, 300),
    cap=st.none() | st.integers(1, 60),
    picks=st.lists(st.integers(0, 10**6), max_size=400),
)
def test_every_item_is_started_once_and_the_window_is_never_too_full(
    count: int, cap: int | None, picks: list[int]
) -> None:
    window = Window(range(count), cap=cap)
    most = UNCAPPED if cap is None else 2 * cap + SPARE
    under_way: dict[int, Future] = {}
    started: list[int] = []
    ended: list[int] = []
    turn = iter([*picks, *[0] * count])
    while True:
        fresh = start(window)
        started += fresh
        under_way |= fresh
        assert window.running == len(under_way) <= most
        if not under_way:
            break
        position = sorted(under_way)[next(turn) % len(under_way)]
        under_way.pop(position).end()
        ended += [each for each, _ in window.wait()]
    assert started == list(range(count))
    assert sorted(ended) == list(range(count))
    assert window.rest() == []


def test_cap_is_kept_full_while_items_are_left() -> None:
    window = Window(range(1000), cap=20)
    under_way = start(window)
    for _ in range(500):
        position = next(iter(under_way))
        under_way.pop(position).end()
        window.wait()
        under_way |= start(window)
        assert window.running >= 20 + SPARE


def test_items_follow_each_other_one_for_one_and_never_in_waves() -> None:
    window = Window(range(1000), cap=20)
    under_way = start(window)
    for ends in [1, 2, 1, 5, 1, 1, 3] * 30:
        for position in list(under_way)[:ends]:
            under_way.pop(position).end()
        window.wait()
        fresh = start(window)
        assert len(fresh) == ends
        under_way |= fresh


def test_stopped_run_starts_nothing_more_and_names_what_is_left() -> None:
    window = Window(range(100), cap=10)
    under_way = start(window)
    assert start(window, stopped=True) == {}
    for future in under_way.values():
        future.end()
    assert sorted(position for position, _ in window.wait()) == sorted(under_way)
    assert window.running == 0
    assert window.rest() == list(range(len(under_way), 100))


def test_aborted_run_names_what_was_running_too() -> None:
    window = Window([3, 1, 2], cap=1)
    start(window)
    assert window.rest() == [1, 2, 3]


def test_waiting_for_nothing_that_ends_returns_to_look_whether_the_run_was_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prefect_governor.flows.run.underway.LOOK_SECONDS", 0.001)
    window = Window(range(3), cap=1)
    start(window)
    assert window.wait() == []


def test_cancelled_window_has_what_ended_and_gives_up_on_what_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prefect_governor.flows.run.underway.LOOK_SECONDS", 0.001)
    monkeypatch.setattr("prefect_governor.flows.run.underway.ABORT_SECONDS", 0.01)
    window = Window(range(3), cap=None)
    under_way = start(window)
    for position in (2, 0):
        under_way[position].end()
    assert sorted(position for position, _ in window.cancel()) == [0, 2]
    assert window.rest() == [1]


def test_items_that_come_later_are_started_as_they_come_and_never_beyond_the_room() -> None:
    window = Window([], cap=2)
    assert start(window) == {}
    assert window.room == 2 * 2 + SPARE
    window.add([0])
    assert list(start(window)) == [0]
    window.add(range(1, 1 + window.room))
    assert window.room == 0
    assert len(start(window)) == 2 * 2 + SPARE - 1
