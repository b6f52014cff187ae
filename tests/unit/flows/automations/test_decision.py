"""Whether a deployment is held back, and when it is looked at again."""

from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas.schedules import CronSchedule as ServersCronSchedule

from prefect_governor.blocks.money.windows import Window, window_label
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.flows.automations.decision import (
    Held,
    held_tag,
    next_step,
    opening_cron,
    share_gone,
)

OURS, OTHER = held_tag("team"), held_tag("company")


def applied(found: Held, step: str) -> Held:
    tags = tuple(tag for tag in found.tags if tag != OURS)
    if step == "hold":
        return Held(True, (*tags, OURS))
    if step == "release":
        return Held(False, tags)
    return Held(found.paused, tags) if step == "forget" else found


helds = st.builds(
    Held, st.booleans(), st.lists(st.sampled_from([OURS, OTHER, "llm"]), unique=True).map(tuple)
)


@given(helds, st.integers(0, 120), st.sampled_from([50, 80, 95, 100]))
def test_looking_twice_does_what_looking_once_does(found: Held, share: int, at: int) -> None:
    step = next_step(found, "team", share=share, at=at)
    after = applied(found, step)
    assert next_step(after, "team", share=share, at=at) == "leave"
    # Nobody's other tags, and no other budget's hold, are touched.
    assert {tag for tag in after.tags if tag != OURS} == {tag for tag in found.tags if tag != OURS}


@given(st.lists(st.sampled_from(["llm", "nightly"]), unique=True).map(tuple), st.integers(0, 120))
def test_what_a_person_paused_stays_paused(tags: tuple[str, ...], share: int) -> None:
    assert next_step(Held(True, tags), "team", share=share, at=80) == "leave"


@pytest.mark.parametrize("first", ["team", "company"])
def test_what_two_budgets_hold_runs_again_when_both_let_it(first: str) -> None:
    """Whichever was spent first, and whichever opens first."""
    found = Held(False, ())
    for budget in (first, *{"team", "company"} - {first}):
        assert next_step(found, budget, share=90, at=80) == "hold"
        found = Held(True, (*found.tags, held_tag(budget)))
    assert next_step(found, first, share=0, at=80) == "forget"
    found = Held(True, tuple(tag for tag in found.tags if tag != held_tag(first)))
    assert next_step(found, first, share=0, at=80) == "leave"
    (second,) = {"team", "company"} - {first}
    assert next_step(found, second, share=0, at=80) == "release"


@pytest.mark.parametrize(
    ("ceiling", "tokens", "gone"), [(0, None, 100), (None, 0, 100), (10, 0, 100), (10, None, 50)]
)
def test_a_ceiling_that_was_set_to_nothing_lets_nothing_run_again(
    ceiling: int | None, tokens: int | None, gone: int
) -> None:
    state = AccountState("a-key", "team", "", ceiling, tokens, spent_nano=5)
    assert share_gone(state) == gone


@pytest.mark.parametrize(
    ("found", "share", "expected"),
    [
        (Held(False, ()), 80, "hold"),
        (Held(False, ()), 79, "leave"),
        (Held(False, (OURS,)), 90, "leave"),
        (Held(True, (OURS,)), 79, "release"),
        (Held(True, (OURS, OTHER)), 0, "forget"),
        (Held(False, (OURS,)), 0, "forget"),
    ],
)
def test_a_deployment_is_held_from_the_share_on(found: Held, share: int, expected: str) -> None:
    assert next_step(found, "team", share=share, at=80) == expected


@pytest.mark.parametrize("window", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
async def test_it_is_looked_at_in_the_first_minutes_of_every_window(
    window: Window, zone: str
) -> None:
    """Across a change of the clocks too."""
    cron = opening_cron(window)
    assert cron is not None
    schedule = ServersCronSchedule(cron=cron, timezone=zone)
    dates = await schedule.get_dates(n=60, start=datetime(2026, 3, 27, 12, 30, tzinfo=timezone.utc))

    def label(instant: datetime) -> str:
        return window_label(window, time_zone=zone, wall_seconds=instant.timestamp(), run_id=None)

    for date in dates:
        assert label(date - timedelta(minutes=2)) < label(date), date
    # None is missed between two of them.
    for before, after in pairwise(dates):
        assert label(before) == label(after - timedelta(minutes=2)), (before, after)


@pytest.mark.parametrize("window", ["run", "total"])
def test_a_window_that_has_no_next_one_is_looked_at_by_no_schedule(window: Window) -> None:
    assert opening_cron(window) is None
    assert CronSchedule(cron="1 0 * * *").cron == opening_cron("day")
