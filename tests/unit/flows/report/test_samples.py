"""What is kept of a run over time: bounded, and nothing that was counted is lost by it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.report.samples import Sample, Samples, requests_within


def look(in_flight: int = 0, *, calls: int = 0, queued: int = 0, spent: str = "0") -> Progress:
    return Progress(
        total=9, done=0, in_flight=in_flight, cap=5, queued=queued, calls=calls,
        spent_usd=Decimal(spent), ceiling_usd=Decimal(1), rate=(60, 60),
    )  # fmt: skip


@given(
    most=st.integers(2, 30),
    looks=st.lists(
        st.tuples(st.floats(0, 50), st.integers(0, 200), st.integers(0, 9)), max_size=300
    ),
)
def test_a_long_run_is_kept_in_a_bounded_number_of_samples_and_none_of_its_counts_is_lost(
    most: int, looks: list[tuple[float, int, int]]
) -> None:
    samples = Samples(most=most)
    now, calls, flown, peak = 0.0, 0, 0.0, 0
    for passed, in_flight, more in looks:
        now, calls, peak = now + passed, calls + more, max(peak, in_flight)
        flown += passed * in_flight
        samples.add(now, look(in_flight, calls=calls, spent=str(calls)))
        kept = samples.kept
        assert 1 <= len(kept) <= most
        # One after the other, from the start to the last look.
        assert [each.begin for each in kept] == [0.0, *(each.end for each in kept[:-1])]
        assert kept[-1].end == now
        assert kept[-1].calls == kept[-1].spent_usd == calls
        assert max(each.peak for each in kept) == peak
        mean = sum(each.in_flight * (each.end - each.begin) for each in kept)
        assert mean == pytest.approx(flown, rel=1e-6, abs=1e-6)


def test_a_run_of_hours_keeps_samples_of_about_the_same_length() -> None:
    samples = Samples(most=100)
    for at in range(1, 14_401):
        samples.add(at / 4, look(3))
    lengths = [each.end - each.begin for each in samples.kept]
    assert 50 <= len(lengths) <= 100
    assert max(lengths) <= 4 * min(lengths[:-1])


def test_a_clock_that_stands_still_or_goes_back_makes_no_negative_time() -> None:
    samples = Samples()
    samples.add(1.0, look(1))
    samples.add(0.5, look(2))
    assert [(each.begin, each.end) for each in samples.kept] == [(0.0, 1.0), (1.0, 1.0)]


def test_requests_of_the_last_minute_are_counted_within_long_samples_too() -> None:
    def upto(begin: float, end: float, calls: int) -> Sample:
        return Sample(begin, end, 1, 1, 5, 0, calls, (60, 60), Decimal(0), None)

    samples = [upto(0, 30, 30), upto(30, 60, 90), upto(60, 120, 90), upto(120, 180, 120)]
    # The third began with the minute that it looks back on, the last saw half of an hour's rate.
    assert requests_within(samples, 60) == [30, 90, 0, 30]
    assert requests_within(samples, 90) == [30, 90, pytest.approx(60), 30]
    assert requests_within([], 60) == []


def test_fewer_than_two_samples_would_show_no_time() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Samples(most=1)
