"""The first items wait for each other once, and never for what cannot come. On a virtual clock."""

from prefect_governor.flows.run.fill import FILL_SECONDS, Fill


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_ends_with_the_last_of_them() -> None:
    fill = Fill(3, clock=Clock())
    for _ in range(2):
        fill.began()
        assert not fill.ended.done()
        assert fill.left() == FILL_SECONDS
    fill.began()
    assert fill.ended.done()
    assert fill.left() == 0


def test_one_that_begins_late_waits_no_longer_than_the_first() -> None:
    """Items that memory holds back begin one after the other."""
    clock = Clock()
    fill = Fill(20, clock=clock)
    waited = []
    for _ in range(10):
        fill.began()
        waited.append(left := fill.left())
        clock.now += left
    assert waited == [FILL_SECONDS, *[0.0] * 9]


def test_nobody_waits_where_it_cannot_come_or_is_not_wanted() -> None:
    fill = Fill(20, clock=Clock())
    fill.began()
    fill.end()
    fill.end()
    assert fill.left() == 0
    fill.began()
    assert fill.left() == 0
    assert Fill(0).ended.done()
