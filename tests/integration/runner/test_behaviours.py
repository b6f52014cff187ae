"""Behaves as Prefect's own runner: one table of behaviours, each row seen under both and compared.

The rows are in `rows`. What differs on purpose is in docs/decisions/runs/0009-the-task-runner.md
and in `test_running.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.settings import (
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.server.background import ServerInfo
from tests.integration.runner.rows import Row, table

# Prefect's own clients and websockets are left to the garbage collector, under either runner; a
# coroutine of a task that Prefect's runner drops is never awaited.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore:coroutine .* was never awaited:RuntimeWarning",
)


@pytest.fixture(scope="module", autouse=True)
def quick_flows(server: ServerInfo) -> Iterator[None]:
    with temporary_settings(
        {
            # The heartbeat thread of a flow run ends up to a second after the flow.
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            # A client that reads the certificates of the machine takes a tenth of a second.
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
        }
    ):
        yield


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_it_is_as_under_prefects_runner(row: Row) -> None:
    theirs = row.observe(ThreadPoolTaskRunner)
    ours = row.observe(GovernedTaskRunner)
    assert row.checks(theirs), f"the row itself is wrong: {theirs!r}"
    assert ours == theirs
