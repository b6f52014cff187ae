"""Behaves as Prefect's own runner: one table of behaviours, each row seen under both and compared.

The rows are in `rows`. What differs on purpose is in docs/decisions/runs/0009-the-task-runner.md
and in `test_running.py`.
"""

from __future__ import annotations

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_governor.flows.runner import GovernedTaskRunner
from tests.integration.runner.rows import Row, table

pytestmark = [
    pytest.mark.usefixtures("quick_flows"),
    # Prefect's own clients and websockets are left to the garbage collector, under either runner; a
    # coroutine of a task that Prefect's runner drops is never awaited.
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore:coroutine .* was never awaited:RuntimeWarning",
    ),
]


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_it_is_as_under_prefects_runner(row: Row) -> None:
    theirs = row.observe(ThreadPoolTaskRunner)
    ours = row.observe(GovernedTaskRunner)
    assert row.checks(theirs), f"the row itself is wrong: {theirs!r}"
    assert ours == theirs
