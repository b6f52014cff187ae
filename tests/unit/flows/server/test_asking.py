"""A Date header says that clocks are apart only where it cannot be otherwise."""

import pytest

from prefect_governor.flows.server.asking import ahead_at_least

# 2026-11-30 12:00:00 UTC, in seconds.
NOON = 1_796_040_000.0
DATE = "Mon, 30 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("before", "after", "ahead"),
    [
        (0.0, 0.1, 0.0),
        (0.9, 0.95, 0.0),
        # A slow answer says nothing.
        (-20, 20, 0.0),
        (-20, -10, 10.0),
        (31, 32, -30.0),
    ],
)
def test_what_a_slow_answer_leaves_open_is_no_difference(
    before: float, after: float, ahead: float
) -> None:
    assert ahead_at_least(DATE, NOON + before, NOON + after) == pytest.approx(ahead)


def test_no_date_is_no_clock() -> None:
    assert ahead_at_least(None, 0, 1) is None
    assert ahead_at_least("yesterday", 0, 1) is None
