"""A Prefect that lacks a private name: one warning, and the work is done in Prefect's own way.

Each name is hidden in a process of its own, before the package is imported there.
"""

import re
import sys
from collections.abc import Iterator

import pytest

from prefect_governor.flows.server.background import ServerInfo
from tests.integration.runner.hidden import WATCHDOG_SECONDS
from tests.talk import Talk

# Of each name the work that needs it.
HIDDEN = {
    "uuid7": "tasks",
    "emit_task_run_state_change_event": "tasks",
    "related_resources_from_run_context": "tasks",
    "_create_task_run_locally": "tasks",
    "raise_if_flow_run_suspension_requested": "tasks",
    "SyncTaskRunEngine": "tasks",
    "AsyncTaskRunEngine": "tasks",
    "_wait_for_dependencies": "tasks",
    "ConcurrencyLeaseHolder": "tasks",
    "WatcherThreadCancelScope": "tasks",
    "CancelledError": "tasks",
    "TaskRunTimeoutError": "tasks",
    "result_store": "tasks",
    "ResultRecordMetadata": "tasks",
    "_add_prefect_done_callback": "tasks",
    "visit_collection": "tasks",
    "StopVisiting": "tasks",
    "quote": "tasks",
    "__var__": "tasks",
    "_from_block_document": "blocks",
    "_block_document_id": "blocks",
    "_block_document_name": "blocks",
    "run_coro_as_sync": "items",
    "serialize_parameters": "items",
    "aresult": "items",
    "refresh_global_settings_context": "server",
    "filesystem": "server",
    "BaseFlowRunEngine": "starts",
    "call_flow_fn": "starts",
}


# One of each kind each time; all of them with `-m ""`.
SHORT = {
    "SyncTaskRunEngine",
    "_from_block_document",
    "run_coro_as_sync",
    "refresh_global_settings_context",
}
NAMES = [
    pytest.param(name, marks=() if name in SHORT else pytest.mark.chaos, id=name) for name in HIDDEN
]


@pytest.fixture(scope="module")
def prefects(server: ServerInfo) -> Iterator[Talk]:
    command = [sys.executable, "-m", "tests.integration.runner.hidden"]
    with Talk(command) as talk:
        assert talk.hear(180) == "ready"
        yield talk


@pytest.mark.parametrize("name", NAMES)
def test_work_is_done_without_a_private_name_after_one_warning(name: str, prefects: Talk) -> None:
    prefects.say([name, HIDDEN[name]])
    told = prefects.hear(2 * WATCHDOG_SECONDS)
    assert told["found"] == told["expected"], told["warned"]
    (warning,) = told["warned"]
    assert name in warning
    assert re.match(r"Prefect \d+\.\d+\.\d+ has no prefect\.|Prefect \S+ has no \w+\.", warning)


@pytest.mark.parametrize("kind", sorted({*HIDDEN.values()}))
def test_nothing_is_warned_of_with_this_prefect(kind: str, prefects: Talk) -> None:
    prefects.say(["nothing", kind])
    told = prefects.hear(2 * WATCHDOG_SECONDS)
    assert told["found"] == told["expected"]
    assert told["warned"] == []
