"""The pydantic-ai recipe spends what is billed, as a sub-agent and in a task."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipes.checks import check_changed_lines, check_sub_agent, check_task
from tests.recipes.conftest import Recipe

pytestmark = pytest.mark.recipes


@pytest.fixture
def made(recipe: Callable[[str, str], Recipe]) -> Recipe:
    return recipe("pydantic-ai", "pydantic_ai")


def test_sub_agents_of_a_research_run_spend_what_is_billed(made: Recipe, tmp_path: Path) -> None:
    check_sub_agent(made, tmp_path)


def test_tasks_of_ones_own_spend_what_is_billed(made: Recipe) -> None:
    check_task(made)


def test_it_is_governed_in_at_most_three_changed_lines(made: Recipe) -> None:
    check_changed_lines(made)
