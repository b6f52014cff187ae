"""A run whose calls all went elsewhere is not told as one that cost nothing."""

from dataclasses import dataclass, field

import pytest

from prefect_governor.blocks.figures.figures import ItemFigures
from prefect_governor.flows.report.model import ItemReport, ItemState
from prefect_governor.flows.report.publish import none_passed


@dataclass
class Known:
    expects_calls: bool = True
    items: dict[str, ItemFigures] = field(default_factory=dict)
    budget: object = None
    limits: object = None
    notes: tuple[str, ...] = ()


def item(state: ItemState = "succeeded", *, calls: int = 0, attempts: int = 1) -> ItemReport:
    return ItemReport(key="a", state=state, calls=calls, attempts=attempts)


def test_a_run_without_a_call_says_so() -> None:
    (note,) = none_passed([item(), item(), item("failed")], Known())
    assert note.startswith("no model call of 3 items passed the governor")
    assert none_passed([item()], Known())[0].startswith("no model call of 1 item passed")


@pytest.mark.parametrize(
    ("items", "figures"),
    [
        ([item(), item(calls=1)], Known()),
        ([item("failed"), item("over_budget")], Known()),
        # Its result was there before.
        ([item(attempts=0)], Known()),
        # A governor of task runs, for work that calls no model.
        ([item()], Known(expects_calls=False)),
        ([item()], None),
        ([], Known()),
    ],
)
def test_a_run_that_has_another_reason_for_none_does_not(
    items: list[ItemReport], figures: Known | None
) -> None:
    assert none_passed(items, figures) == []
