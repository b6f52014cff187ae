"""Which answer of a person is heard, and who can be asked."""

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.automations.asking import check_can_be_answered, newest_question


@pytest.mark.parametrize(
    ("asked", "question"),
    [(None, 0), ([], 0), (["raise-0"], 0), (["raise-0", "raise-1"], 1), (["raise-0", "else"], 0)],
)
def test_an_answer_that_was_not_taken_is_not_taken_later(
    asked: "list[str] | None", question: int
) -> None:
    """A person who then leaves the ceiling as it is would have raised it by the one before."""
    assert newest_question(asked) == question


def test_nobody_is_asked_for_dollars_of_a_budget_that_has_tokens_alone() -> None:
    check_can_be_answered("team", 0)
    with pytest.raises(ConfigurationError, match="budget raise team --tokens N"):
        check_can_be_answered("team", None)
