"""What the room takes for granted of Prefect, seen with 3.8.0, 3.8.8 and 3.9.1.

What was copied is held to the original: a version whose loop is another one fails here, before a
task is run by a loop that is not its own. `.ci/versions` runs this with the lowest and the newest.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.exceptions import UpstreamTaskError
from prefect.states import Completed, Pending
from prefect.task_engine import AsyncTaskRunEngine, SyncTaskRunEngine, run_task_async, run_task_sync
from prefect.utilities.annotations import quote

from prefect_governor.blocks.prefect_internals import (
    clients,
    engines,
    interrupts,
    result_folder,
    settings,
    states,
    task_runs,
)
from prefect_governor.blocks.prefect_internals.futures import each_future
from prefect_governor.blocks.prefect_internals.waiting import result_of


def loop_of(function: Callable[..., Any]) -> str:
    """The `with engine.start(...)` in it, as code without comments, in Prefect's words."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith) and "engine.start" in ast.unparse(node):
            text = ast.unparse(node)
            return text.replace("_raise_if_suspended", "raise_if_flow_run_suspension_requested")
    raise AssertionError(f"{function} has no loop")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(engines.run_async, run_task_async), (engines.run_sync, run_task_sync)],
    ids=["async", "sync"],
)
def test_the_loop_is_prefects_with_a_slot_in_it(
    ours: Callable[..., Any], theirs: Callable[..., Any]
) -> None:
    assert loop_of(ours).replace(", _slot(ways, txn)", "") == loop_of(theirs)


@pytest.mark.parametrize("engine", [AsyncTaskRunEngine, SyncTaskRunEngine])
def test_the_run_context_is_prefects_with_another_timeout_in_it(engine: type[Any]) -> None:
    """Where a task has a timeout it is ours: what it does is the same, step by step."""
    text = inspect.getsource(engine.run_context)
    steps = (
        "with self.setup_run_context():", "try:", "seconds=self.task.timeout_seconds",
        "timeout_exc_type=TaskRunTimeoutError", "if self.is_cancelled():", "raise CancelledError(",
        "yield self", "except TimeoutError as exc:", "self.handle_timeout(exc)",
        "except Exception as exc:", "self.handle_exception(exc)",
    )  # fmt: skip
    places = [text.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_the_tags_limits_are_taken_between_the_two_hooks_that_are_overridden() -> None:
    for engine in (AsyncTaskRunEngine, SyncTaskRunEngine):
        text = inspect.getsource(engine.start)
        steps = ("self._wait_for_dependencies()", "self.task_run.tags", "self.begin_run()")
        places = [text.find(step) for step in steps]
        assert -1 not in places
        assert places == sorted(places)


def test_every_part_is_known() -> None:
    assert engines._KNOWN
    assert interrupts._KNOWN
    assert result_folder._KNOWN
    assert engines._TAG_LIMITS_ARE_LEASES


def test_ids_ascend_by_the_millisecond() -> None:
    ids = [task_runs.new_run_id() for _ in range(1000)]
    made_at = [each.int >> 80 for each in ids]
    assert made_at == sorted(made_at)
    assert {each.version for each in ids} == {7}


def test_a_client_that_is_shared_is_the_one_that_prefect_finds() -> None:
    from prefect.context import AsyncClientContext, SyncClientContext

    def shared() -> None:
        assert not clients.has_sync()
        client: Any = object()
        clients.share_sync(client)
        clients.share_async(client)
        assert clients.has_sync()
        found: list[Any] = [SyncClientContext.get(), AsyncClientContext.get()]
        assert found == [client, client]

    copy_context().run(shared)


def test_a_thread_is_interrupted_between_two_steps() -> None:
    import threading

    with pytest.raises(interrupts.Interrupted), interrupts.interruptible() as scope:
        threading.Timer(0.05, scope.cancel).start()
        for _ in range(2000):
            threading.Event().wait(0.01)


def test_quoted_futures_are_left_alone() -> None:
    from concurrent.futures import Future

    from prefect.futures import PrefectConcurrentFuture, PrefectFuture

    future: PrefectFuture[Any] = PrefectConcurrentFuture(uuid4(), Future())
    found: list[PrefectFuture[Any]] = []
    for expression in (future, [{"a": (future,)}], quote([future]), "text"):
        each_future(expression, found.append)
    assert found == [future, future]


def test_a_coroutine_is_run_from_a_thread_with_a_loop_and_from_one_without() -> None:
    import asyncio

    async def value() -> int:
        await asyncio.sleep(0)
        return 7

    async def blocks() -> int:
        return result_of(value())

    assert result_of(value()) == 7
    assert asyncio.run(blocks()) == 7


def test_the_texts_of_states_are_read() -> None:
    run = UUID("0190c5f0-0000-7000-8000-000000000001")
    told = f"Upstream task run '{run}' did not reach a 'COMPLETED' state."
    assert states.upstream_of(str(UpstreamTaskError(told))) == str(run)
    assert states.upstream_of("nothing of the kind") is None
    assert states.is_not_ready(Pending(name="NotReady"))
    assert not states.is_not_ready(Completed(name="NotReady"))
    error = "Task run encountered an exception OverBudget: the ceiling\nis $1"
    assert states.named_error(error, ["RunStopped", "OverBudget"]) == (
        "OverBudget",
        "the ceiling\nis $1",
    )
    assert states.named_error("ValueError: no", ["RunStopped"]) is None


def test_prefect_says_upstream_runs_as_they_are_read() -> None:
    """The sentence stands in what the engine calls for each parameter."""
    from prefect.utilities import engine

    assert "Upstream task run '{" in inspect.getsource(engine.resolve_to_final_result)


async def test_a_result_that_is_gone_is_tried_for_once(tmp_path: Path) -> None:
    assert states._tried_once() == {"retry_result_failure": False}
    state: State[Any] = State(
        type=StateType.COMPLETED, data=None, state_details=StateDetails(task_run_id=uuid4())
    )
    with pytest.raises(Exception, match=r".") as caught:
        await states.kept_result(state)
    assert "Missing" in type(caught.value).__name__


def test_a_flow_says_what_is_kept_of_its_parameters() -> None:
    from prefect_governor.flows.run.flow import ReadyFlow

    def asked(items: Any = None) -> None: ...

    assert ReadyFlow(asked).serialize_parameters({"items": iter("ab")}) == {"items": None}
    assert flow(asked).serialize_parameters({"items": ["a"]}) == {"items": ["a"]}


def test_leases_can_be_kept_in_files() -> None:
    from importlib.util import find_spec

    storage = settings.durable_lease_storage()
    assert storage is not None
    assert find_spec(storage) is not None
