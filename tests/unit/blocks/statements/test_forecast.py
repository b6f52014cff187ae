"""When a ceiling is reached at this pace: what is left, divided by the pace."""

from hypothesis import assume, given
from hypothesis import strategies as st

from prefect_governor.blocks.statements.forecast import Forecast, Pace, forecast

HOUR = 3600.0
NOW = 1_764_000_000.0
money = st.integers(0, 10**15)
seconds = st.floats(1, 10**6)


def test_half_of_a_ceiling_in_an_hour_is_all_of_it_in_another() -> None:
    found = forecast(gone_nano=5, ceiling_nano=10, pace=Pace(5, HOUR), now=NOW, ends=NOW + 5 * HOUR)
    assert found == Forecast(NOW + HOUR, 30)


def test_ceiling_that_the_window_outlives_is_not_reached() -> None:
    found = forecast(gone_nano=5, ceiling_nano=10, pace=Pace(5, HOUR), now=NOW, ends=NOW + 60)
    assert found.reached is None


@given(gone=money, ceiling=money, pace=money, took=seconds, left=seconds)
def test_it_is_reached_within_the_window_just_where_the_pace_asks_for_more_than_the_ceiling(
    gone: int, ceiling: int, pace: int, took: float, left: float
) -> None:
    found = forecast(
        gone_nano=gone, ceiling_nano=ceiling, pace=Pace(pace, took), now=NOW, ends=NOW + left
    )
    assert found.by_end_nano is not None and found.by_end_nano >= gone
    if gone >= ceiling:
        assert found.reached == NOW
        return
    # Beside what rounding to a nano-dollar and to a float's second may do.
    assume(abs(found.by_end_nano - ceiling) > 2 + ceiling / 10**6)
    assert (found.reached is not None) == (found.by_end_nano > ceiling)
    if found.reached is not None:
        assert NOW <= found.reached < NOW + left


@given(gone=money, more=st.integers(1, 10**12), pace=st.integers(1, 10**12), took=seconds)
def test_a_raise_never_brings_the_end_nearer(gone: int, more: int, pace: int, took: float) -> None:
    low, high = (
        forecast(
            gone_nano=gone, ceiling_nano=gone + each, pace=Pace(pace, took), now=NOW, ends=None
        )
        for each in (more, 2 * more)
    )
    assert low.by_end_nano is None
    if high.reached is not None:
        assert low.reached is not None and NOW <= low.reached <= high.reached


@given(gone=money, took=st.floats(0, 10**6))
def test_without_a_pace_or_a_ceiling_there_is_no_end(gone: int, took: float) -> None:
    still = forecast(
        gone_nano=gone, ceiling_nano=gone + 1, pace=Pace(0, took), now=NOW, ends=NOW + HOUR
    )
    assert still == Forecast(None, gone)
    free = forecast(gone_nano=gone, ceiling_nano=None, pace=Pace(10, 1), now=NOW, ends=None)
    assert free == Forecast(None, None)
