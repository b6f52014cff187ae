"""A window never goes back, and its edges are the calendar's in the budget's time zone."""

from datetime import datetime, timezone
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.money.windows import (
    Window,
    latest_label,
    window_bounds,
    window_label,
)

CALENDAR: tuple[Window, ...] = ("hour", "day", "week", "month")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
instants = st.floats(min_value=0, max_value=4e9, allow_nan=False)


def label(window: Window, text: str, zone: str = "UTC") -> str:
    """The label of an instant written in ISO form, UTC unless it says otherwise."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=timezone.utc)
    return window_label(window, time_zone=zone, wall_seconds=instant.timestamp(), run_id=None)


@pytest.mark.parametrize(
    ("window", "instant", "zone", "expected"),
    [
        ("hour", "2026-11-24T10:59:59.999", "UTC", "2026-11-24T10"),
        ("day", "2026-11-24T23:59:59", "UTC", "2026-11-24"),
        ("day", "2026-11-24T23:30:00", "Europe/Berlin", "2026-11-25"),
        ("day", "2026-11-25T04:59:59", "America/New_York", "2026-11-24"),
        ("month", "2026-11-30T23:30:00", "Europe/Berlin", "2026-12"),
        # ISO weeks belong to the year of their Thursday.
        ("week", "2026-12-31T12:00:00", "UTC", "2026-W53"),
        ("week", "2027-01-03T12:00:00", "UTC", "2026-W53"),
        ("week", "2027-01-04T00:00:00", "UTC", "2027-W01"),
        ("week", "2024-12-30T00:00:00", "UTC", "2025-W01"),
        ("week", "2021-01-01T00:00:00", "UTC", "2020-W53"),
        ("total", "2026-11-24T10:00:00", "UTC", "total"),
    ],
)
def test_edges_of_windows(window: Window, instant: str, zone: str, expected: str) -> None:
    assert label(window, instant, zone) == expected


def test_the_hour_that_comes_twice_when_summer_ends_is_one_window() -> None:
    first = label("hour", "2026-10-25T02:30:00+02:00", "Europe/Berlin")
    second = label("hour", "2026-10-25T02:30:00+01:00", "Europe/Berlin")
    assert first == second == "2026-10-25T02"


def test_a_day_of_23_hours_ends_at_local_midnight() -> None:
    assert label("day", "2026-03-29T00:00:00+01:00", "Europe/Berlin") == "2026-03-29"
    assert label("day", "2026-03-29T23:59:59+02:00", "Europe/Berlin") == "2026-03-29"
    assert label("day", "2026-03-30T00:00:00+02:00", "Europe/Berlin") == "2026-03-30"


def test_each_run_has_a_window_of_its_own() -> None:
    of_runs = {
        window_label("run", time_zone="UTC", wall_seconds=0, run_id=run) for run in ("a", "b", None)
    }
    assert len(of_runs) == 3


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), st.lists(instants, min_size=1))
def test_whatever_the_clock_does_a_window_never_goes_back(
    window: Window, zone: str, seconds: list[float]
) -> None:
    last: str | None = None
    for each in seconds:
        now = window_label(window, time_zone=zone, wall_seconds=each, run_id=None)
        latest = latest_label(window, now, last)
        assert last is None or latest >= last
        last = latest


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), instants, instants)
def test_labels_sort_as_time_does(window: Window, zone: str, one: float, other: float) -> None:
    early, late = sorted((one, other))
    of = [
        window_label(window, time_zone=zone, wall_seconds=each, run_id=None)
        for each in (early, late)
    ]
    # A local hour that comes twice may be left and entered again: `latest_label` holds it.
    if window == "hour" and of[0] > of[1]:
        offsets = [
            datetime.fromtimestamp(each, ZoneInfo(zone)).utcoffset() for each in (early, late)
        ]
        assert offsets[0] != offsets[1]
    else:
        assert of[0] <= of[1]


@given(st.sampled_from(get_args(Window)), st.text(max_size=5), st.text(max_size=5))
def test_only_runs_may_follow_each_other_in_any_order(window: Window, a: str, b: str) -> None:
    assert latest_label(window, a, None) == a
    assert latest_label(window, a, b) == (a if window == "run" else max(a, b))


@given(window=st.sampled_from(CALENDAR), at=instants, zone=st.sampled_from(ZONES))
def test_bounds_of_a_window_are_where_its_label_begins_and_ends(
    window: Window, at: float, zone: str
) -> None:
    bounds = window_bounds(window, time_zone=zone, wall_seconds=at)
    assert bounds is not None
    first, last = bounds
    assert first <= at < last
    label_at = {
        instant: window_label(window, time_zone=zone, wall_seconds=instant, run_id=None)
        for instant in (at, first, last - 1, first - 1, last)
    }
    assert label_at[first] == label_at[last - 1] == label_at[at]
    assert label_at[at] not in (label_at[first - 1], label_at[last])


@pytest.mark.parametrize("window", ["run", "total"])
def test_windows_without_a_calendar_have_no_bounds(window: Window) -> None:
    assert window_bounds(window, time_zone="UTC", wall_seconds=1.0) is None
