"""The windows a budget's ceiling is counted over. Pure: the wall time is an argument."""

from datetime import datetime, timedelta, timezone
from typing import Literal
from zoneinfo import ZoneInfo

Window = Literal["run", "hour", "day", "week", "month", "total"]

_FORMATS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


def window_label(window: Window, *, time_zone: str, wall_seconds: float, run_id: str | None) -> str:
    """The label of the window that an instant falls into, such as "2026-11-24" or "2026-W48".

    Labels of one kind sort as time does, so a store can refuse to go back. `run` windows are named
    by the run; outside a run there is one window for all such calls.
    """
    if window == "total":
        return "total"
    if window == "run":
        return f"run:{run_id or 'none'}"
    instant = datetime.fromtimestamp(wall_seconds, tz=timezone.utc)
    return instant.astimezone(ZoneInfo(time_zone)).strftime(_FORMATS[window])


def latest_label(window: Window, label: str, last: str | None) -> str:
    """`label`, or `last` where the clock went back: a window's index never does."""
    if window == "run" or last is None:
        return label
    return max(label, last)


def window_bounds(
    window: Window, *, time_zone: str, wall_seconds: float
) -> tuple[float, float] | None:
    """When the window that an instant falls into began, and when it ends, on the wall's clock in
    seconds; None for `run` and `total`, which have no such ends."""
    zone = ZoneInfo(time_zone)
    here = datetime.fromtimestamp(wall_seconds, tz=timezone.utc).astimezone(zone)
    day = here.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    if window == "hour":
        first = day.replace(hour=here.hour)
        last = first + timedelta(hours=1)
    elif window == "day":
        first, last = day, day + timedelta(days=1)
    elif window == "week":
        first = day - timedelta(days=day.weekday())
        last = first + timedelta(days=7)
    elif window == "month":
        first = day.replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1)
    else:
        return None
    # On the zone's own clock: a day may have 23 hours, an hour that comes twice is one window.
    return first.replace(tzinfo=zone).timestamp(), last.replace(tzinfo=zone).timestamp()
