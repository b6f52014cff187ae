# mypy: disable-error-code="call-overload,arg-type,misc"
"""A governor that does not load fails the flow run, with its message, whatever kind of flow it is.

Prefect leaves a flow run Running for ever whose task runner raises as it is entered.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_engine import run_flow
from prefect.states import Pending

from prefect_governor import Budget, GovernedTaskRunner, Governor
from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.governing import document_of, edit, loaded_as

pytestmark = pytest.mark.usefixtures("server", "quick_flows", "put_out_of_work")

MISSING = "a-governor-that-nobody-saved"


def options(governor: str = MISSING, **more: Any) -> dict[str, Any]:
    return {"task_runner": GovernedTaskRunner(governor), **more}


def latest(client: SyncPrefectClient, flow_name: str) -> FlowRun:
    runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=50)
    flow_id = client.read_flow_by_name(flow_name).id
    return next(run for run in runs if run.flow_id == flow_id)


def check_failed(run: FlowRun, message: str = MISSING) -> None:
    assert run.state is not None
    assert (run.state.type.value, run.state.name) == ("FAILED", "Failed")
    assert message in str(run.state.message)


def sync_flow(name: str) -> Callable[[], Any]:
    @flow(name=name, **options())
    def empty() -> None:
        raise AssertionError("its function is not called")

    return empty


def async_flow(name: str) -> Callable[[], Any]:
    @flow(name=name, **options())
    async def empty() -> None:
        raise AssertionError("its function is not called")

    return lambda: asyncio.run(empty())


def generator(name: str) -> Callable[[], Any]:
    @flow(name=name, **options())
    def gives() -> Iterator[int]:
        yield 1

    return lambda: list(gives())


def async_generator(name: str) -> Callable[[], Any]:
    @flow(name=name, **options())
    async def gives() -> AsyncIterator[int]:
        yield 1

    async def take() -> list[int]:
        return [each async for each in gives()]

    return lambda: asyncio.run(take())


def in_a_task(name: str) -> Callable[[], Any]:
    """Another flow's task calls it: that one's engine is not its own."""

    @flow(name=name, **options())
    def inner() -> None: ...

    @task
    def calls() -> None:
        inner()

    @flow(task_runner=GovernedTaskRunner())
    def outer() -> None:
        calls.submit().result()

    return outer


@pytest.mark.parametrize("make", [sync_flow, async_flow, generator, async_generator, in_a_task])
def test_a_governor_that_does_not_load_is_no_run_that_stays_running(
    make: Callable[[str], Callable[[], Any]], client: SyncPrefectClient, name: str
) -> None:
    with pytest.raises(GovernorError, match=MISSING):
        make(name)()
    check_failed(latest(client, name))


def test_a_subflow_fails_and_its_parent_can_go_on(client: SyncPrefectClient, name: str) -> None:
    @flow(name=name, **options())
    def inner() -> None: ...

    @flow
    def outer() -> str:
        state = inner(return_state=True)
        return str(state.message)

    assert MISSING in outer()
    check_failed(latest(client, name))


def test_its_retries_are_runs_and_the_one_that_finds_the_governor_is_the_last(
    client: SyncPrefectClient, name: str
) -> None:
    begun: list[int] = []

    def saved(flow: Any, flow_run: Any, state: Any) -> None:
        begun.append(len(begun))
        if len(begun) == 2:
            Governor(budget=Budget(max_usd="1")).save(name)

    @task
    def one() -> int:
        return 1

    @flow(name=name, on_running=[saved], **options(name, retries=3))
    def works() -> int:
        return int(one.submit().result())

    state = works(return_state=True)
    assert state.is_completed()
    run = latest(client, name)
    assert (run.run_count, len(begun)) == (2, 2)


def test_retries_end(client: SyncPrefectClient, name: str) -> None:
    @flow(name=name, **options(retries=1))
    async def never() -> None: ...

    with pytest.raises(GovernorError, match=MISSING):
        asyncio.run(never())
    run = latest(client, name)
    check_failed(run)
    assert run.run_count == 2


def test_a_run_that_a_worker_was_given_fails(client: SyncPrefectClient, name: str) -> None:
    @flow(name=name, **options())
    def deployed() -> None: ...

    given = client.create_flow_run(deployed, state=Pending())
    with pytest.raises(GovernorError, match=MISSING):
        run_flow(deployed, flow_run=given)
    check_failed(client.read_flow_run(given.id))


def not_valid(name: str, patch: pytest.MonkeyPatch, folder: Path) -> None:
    edit(document_of(loaded_as(Governor, name)), budget={"max_usd": "-3"})


def of_another_ledger(name: str, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """As in a container that has a home of its own (P8)."""
    assert load_governor(name).runtime.desk.store.ledger_id
    stop_all()
    patch.setenv("PREFECT_HOME", str(folder))


def out_of_reach(name: str, patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("PREFECT_GOVERNOR_LEDGER_URL", "postgresql://nobody@127.0.0.1:1/nothing")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_valid, "max_usd"),
        (of_another_ledger, "Two ledgers would be two ceilings"),
        (out_of_reach, "ledger"),
    ],
)
def test_the_state_says_what_is_wrong_with_it(
    spoil: Callable[..., None],
    words: str,
    client: SyncPrefectClient,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    Governor(budget=Budget(max_usd="1")).save(name)
    spoil(name, monkeypatch, tmp_path)

    @flow(name=name, **options(name))
    def empty() -> None: ...

    with pytest.raises(GovernorError, match=words):
        empty()
    check_failed(latest(client, name), words)
