"""How much is drawn, and what a lost reply comes to: over machines that spend as they like, no more
is ever drawn than the ceiling, whatever is lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.draws.plan import (
    FEWEST_UNITS,
    MOST_UNITS,
    PARTS,
    Landed,
    Step,
    View,
    landed,
    limit_of,
    step,
    unit_of,
)

ceilings = st.integers(0, 10**18)
small = st.integers(0, 10**6)


@given(ceilings)
def test_a_ceiling_fits_and_little_is_lost_to_rounding(ceiling: int) -> None:
    unit = unit_of(ceiling)
    assert ceiling // unit < 10 * FEWEST_UNITS
    assert 200 * (ceiling // unit) <= MOST_UNITS
    assert ceiling - ceiling // unit * unit <= max(0, ceiling // FEWEST_UNITS)
    assert 1 <= limit_of(ceiling, unit) <= max(1, ceiling // unit)


@st.composite
def views(draw: st.DrawFn) -> View:
    unit = draw(st.sampled_from([1, 10, 1000]))
    ceiling = draw(st.integers(0, 10**7))
    active = draw(st.integers(0, 10**7 // unit))
    granted = draw(st.integers(0, active)) * unit
    return View(
        ceiling, granted, draw(st.integers(0, granted + 1000)), draw(small), draw(st.booleans()),
        unit, active,
    )  # fmt: skip


@given(views())
def test_a_step_takes_what_is_free_and_gives_back_what_is_spare(view: View) -> None:
    todo = step(view)
    assert not (todo.draw and todo.give_back)
    assert 0 <= todo.draw <= view.free
    assert 0 <= todo.give_back * view.unit <= max(0, view.spare)
    if view.active > limit_of(view.ceiling, view.unit):
        # P7: a lowered ceiling.
        assert todo.draw == 0
    elif not view.busy:
        assert view.spare - todo.give_back * view.unit < view.unit
        assert todo.draw == 0
    elif 0 < view.wanted <= (view.free * view.unit) and view.spare >= 0:
        # Whoever waits for what is there, gets it.
        assert todo.draw * view.unit >= view.wanted
    if todo.draw and view.wanted == 0 and view.spare >= 0:
        # Ahead of demand: never much of what is left.
        assert todo.draw <= view.free // PARTS


@given(own=small, unit=st.sampled_from([1, 7]), granted=small, returning=small, asked=small)
def test_what_the_server_counts_is_never_exceeded_by_what_was_not_known_drawn(
    own: int, unit: int, granted: int, returning: int, asked: int
) -> None:
    now = landed(own, unit, Landed(granted, returning, asked))
    assert now.granted >= granted and 0 <= now.returning <= returning and 0 <= now.asked <= asked
    # Nothing is taken for drawn that was not asked for.
    assert now.granted - granted == asked - now.asked
    if now.granted > granted:
        assert now.granted + now.returning <= own * unit
    # All that is counted is somebody's.
    assert own * unit <= now.granted + now.returning + now.foreign
    assert now.foreign == 0 or now.asked == 0


def test_what_is_wanted_beyond_what_is_left_draws_nothing() -> None:
    view = View(1000, 900, 900, 101, True, 1, 900)
    assert step(view) == Step()
    assert step(View(1000, 900, 900, 100, True, 1, 900)) == Step(draw=100)


def test_what_was_billed_above_what_was_drawn_is_drawn() -> None:
    assert step(View(1000, 10, 60, 0, True, 1, 990)) == Step()
    assert step(View(1000, 10, 60, 0, True, 1, 100)).draw >= 50
