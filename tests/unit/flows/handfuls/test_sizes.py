"""A long run is a bounded number of task runs, a short one shows each of its items."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.handfuls.sizes import check_items_per_task, name_of, size_after


def handfuls(items: int, asked: int | None = None) -> list[int]:
    """The sizes of a run's task runs."""
    sizes: list[int] = []
    started = 0
    while started < items:
        sizes.append(min(size_after(started, asked), items - started))
        started += sizes[-1]
    return sizes


@given(items=st.integers(0, 2_000_000))
def test_a_long_run_is_a_bounded_number_of_task_runs(items: int) -> None:
    sizes = handfuls(items)
    assert sum(sizes) == items
    assert sizes[:200] == [1] * min(items, 200)
    # The last one may have had room for more.
    assert sizes[:-1] == sorted(sizes[:-1])
    # By the sum of a geometric series; what whole numbers add is less than a third.
    assert len(sizes) <= 200 + 1.3 * 100 * math.log(max(1.0, items / 200)) + 1


@pytest.mark.parametrize(("items", "most"), [(200, 200), (1_000, 390), (10_000, 650)])
def test_the_lengths_that_are_told_of(items: int, most: int) -> None:
    assert len(handfuls(items)) <= most
    assert items > 200 or len(handfuls(items)) == items


@given(items=st.integers(0, 5_000), asked=st.integers(1, 700))
def test_what_is_asked_for_is_what_every_task_run_takes(items: int, asked: int) -> None:
    sizes = handfuls(items, asked)
    assert sum(sizes) == items
    assert set(sizes[:-1]) <= {asked}


@pytest.mark.parametrize(("given", "asked"), [("auto", None), (None, None), (7, 7), ("7", 7)])
def test_what_may_be_asked_for(given: Any, asked: int | None) -> None:
    assert check_items_per_task(given) == asked


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "many", "0", [3]])
def test_what_is_no_number_of_items_is_refused_with_what_may_be_asked(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="at least 1, or 'auto'"):
        check_items_per_task(given)


@pytest.mark.parametrize(
    ("positions", "size", "name"),
    [
        (range(1200, 1300), 100, "items 1,201 to 1,300"),
        ([4], 1, "item 5"),
        ([4], 10, "items from 5"),
        ([2, 5, 99], 3, "items 3 to 100 (3 of them)"),
    ],
)
def test_a_task_run_is_named_by_the_items_that_a_person_counts(
    positions: Any, size: int, name: str
) -> None:
    assert name_of(list(positions), size=size) == name
