"""What a server did not get is written once, by whoever comes next; a Retry adds what is new."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Crashed, Running, Scheduled

from prefect_governor import fan_out
from prefect_governor.flows.publications.keeping import begin, waiting
from prefect_governor.flows.publications.publication import Begun, End, Publication, as_kept
from prefect_governor.flows.publications.writing import ServerAway, write, written
from prefect_governor.flows.recovery import sweep
from prefect_governor.flows.recovery.sweep import publish_waiting
from prefect_governor.flows.report.artifacts import artifacts_of
from prefect_governor.flows.report.model import ItemReport, Report
from tests.integration.cli.commands import run as run_command
from tests.integration.endings.bringing import artifacts, asked
from tests.integration.endings.door import Door
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@flow(name="left-behind")
def left_behind() -> None: ...


@pytest.fixture
def run(client: SyncPrefectClient) -> FlowRun:
    """A flow run whose process has left it Running."""
    made = client.create_flow_run(left_behind)
    client.set_flow_run_state(made.id, Running())
    return client.read_flow_run(made.id)


def publication(run: FlowRun, *, attempt: int = 1, reason: str = "1 of 2") -> Publication:
    """Of a run that came to something, and could not say so."""
    items = [ItemReport(key="a", state="succeeded"), ItemReport(key="b", state="failed")]
    report = Report(run_id=str(run.id), outcome="partial", reason=reason, items=items)
    made = artifacts_of(report, key_prefix="left", flow_run_id=run.id, attempt=attempt)
    return Publication(
        str(run.id),
        attempt,
        PREFECT_API_URL.value() or "",
        artifacts=tuple(map(as_kept, made)),
        end=End("COMPLETED", "Partial", "1 of 2 · the report is among the run's artifacts"),
    )


def leave(left: Publication) -> None:
    held = begin(left)
    assert held is not None
    held.let_go()


def keys(client: SyncPrefectClient, run_id: UUID) -> list[str]:
    return [str(each.key) for each in artifacts(client, run_id)]


def test_whoever_comes_next_writes_it_and_only_one_of_many(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    leave(publication(run))
    found: list[bool] = []

    def next_one() -> None:
        found.extend(each.written for each in publish_waiting(str(run.id)))

    threads = [threading.Thread(target=next_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(True) == 1
    assert sorted(keys(client, run.id)) == ["left-items", "left-summary"]
    state = client.read_flow_run(run.id).state
    assert state is not None and state.name == "Partial"
    assert "the report is among the run's artifacts" in str(state.message)
    assert not any(each.run_id == str(run.id) for each in waiting())


def test_what_died_half_way_through_is_gone_on_with(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    whole = publication(run)
    half = replace(whole, artifacts=whole.artifacts[:1], end=None)
    asyncio.run(write(half))
    asyncio.run(write(whole))
    asyncio.run(write(whole))
    assert sorted(keys(client, run.id)) == ["left-items", "left-summary"]


@pytest.mark.parametrize("begun", [True, False])
def test_what_waited_while_another_attempt_told_more_is_written_once_and_as_the_older(
    client: SyncPrefectClient, run: FlowRun, begun: bool
) -> None:
    first = replace(publication(run), end=None)
    if begun:
        asyncio.run(write(first))
    asyncio.run(write(replace(publication(run, attempt=2, reason="other"), end=None)))
    asyncio.run(write(first))
    asyncio.run(write(first))
    found = artifacts(client, run.id)
    assert sorted(str(each.key) for each in found) == [
        "left-items", "left-items", "left-summary", "left-summary"
    ]  # fmt: skip
    old = [each for each in found if str(each.description).startswith("Superseded by attempt 2 ·")]
    assert sorted(str(each.key) for each in old) == ["left-items", "left-summary"]
    # The next attempt is compared with what came last, not with what was written last.
    asyncio.run(write(replace(publication(run, attempt=3, reason="other"), end=None)))
    assert len(artifacts(client, run.id)) == 4


def test_a_run_that_somebody_cancelled_and_that_died_is_cancelled(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    client.set_flow_run_state(run.id, Cancelling(), force=True)
    died = End("CRASHED", "Crashed", "the process died")
    asyncio.run(write(replace(publication(run), end=died)))
    state = client.read_flow_run(run.id).state
    assert state is not None and state.is_cancelled()


# By what became of the run meanwhile: that state, and how it ends.
MEANWHILE: dict[str, tuple["State[Any] | None", str]] = {
    "nothing": (None, "Partial"),
    "taken for crashed": (Crashed(message="Flow run process exited with 1"), "Partial"),
    "ended": (Completed(name="Somebody's"), "Somebody's"),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_it_ends_what_nobody_ended_or_took_for_crashed(
    client: SyncPrefectClient, run: FlowRun, meanwhile: str
) -> None:
    state, ends_as = MEANWHILE[meanwhile]
    if state is not None:
        client.set_flow_run_state(run.id, state, force=True)
    asyncio.run(write(publication(run)))
    ended = client.read_flow_run(run.id).state
    assert ended is not None and ended.name == ends_as


def test_another_attempt_that_goes_on_is_left_alone(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    states: list[State[Any]] = [Scheduled(), Running()]
    for state in states:
        client.set_flow_run_state(run.id, state, force=True)
    asyncio.run(write(publication(run)))
    goes_on = client.read_flow_run(run.id)
    assert goes_on.run_count == 2
    assert goes_on.state is not None and goes_on.state.is_running()
    assert "left-summary" in keys(client, run.id)


def test_a_server_that_is_back_in_time_gets_it_from_the_same_process(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    with Door(PREFECT_API_URL.value() or "") as door:
        door.shut()
        with temporary_settings({PREFECT_API_URL: door.url}):
            with pytest.raises(ServerAway):
                asyncio.run(write(publication(run)))
            told: list[str] = []

            def away(problem: str) -> None:
                told.append(problem)
                door.open()

            until = time.monotonic() + 60
            assert asyncio.run(written(publication(run), until=until, told=away))
            door.shut()
            assert not asyncio.run(written(publication(run), until=time.monotonic()))
    assert len(told) == 1
    assert sorted(keys(client, run.id)) == ["left-items", "left-summary"]


def test_a_run_of_another_server_stays_where_it_is(run: FlowRun) -> None:
    left = publication(run)
    elsewhere = replace(left, run_id=str(UUID(int=run.id.int ^ 1)))
    leave(elsewhere)
    (swept,) = publish_waiting(elsewhere.run_id)
    assert not swept.written and "no such run" in swept.said
    leave(replace(left, api_url="https://prefect.example/api"))
    assert list(publish_waiting(left.run_id)) == []
    assert {elsewhere.name, left.name} <= {each.name for each in waiting()}


def test_one_that_the_server_never_takes_keeps_no_other_back(
    client: SyncPrefectClient, run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = publication(run)
    made = client.create_flow_run(left_behind)
    client.set_flow_run_state(made.id, Running())
    good = publication(client.read_flow_run(made.id))

    async def refused(each: Publication) -> list[UUID]:
        if each.run_id == bad.run_id:
            raise ServerAway("HTTPStatusError: 500", answered=True)
        return await write(each)

    monkeypatch.setattr(sweep, "write", refused)
    leave(bad)
    leave(good)
    found = {each.publication.run_id: each for each in publish_waiting()}
    assert "does not take it: HTTPStatusError: 500" in found[bad.run_id].said
    assert found[good.run_id].written
    assert sorted(keys(client, made.id)) == ["left-items", "left-summary"]


def test_the_command_lists_what_waits_and_writes_it(
    client: SyncPrefectClient, run: FlowRun
) -> None:
    # Its process died before its first item, and what it knew is all there is.
    begun = Begun("fan-out", str(run.id), "/nowhere/results.jsonl", items=("a", "b"))
    leave(Publication(str(run.id), 1, PREFECT_API_URL.value() or "", begun=begun))
    listed = run_command("publish")
    assert listed.exit_code == 0
    assert f"{run.id}  attempt 1: its process died" in listed.stdout
    unknown = run_command("publish", "no-such-run")
    assert unknown.exit_code == 2
    assert "no report of such a run waits here" in unknown.stderr
    told = run_command("publish", str(run.id)[:20])
    assert told.exit_code == 0, told.stderr
    assert f"{run.id}  attempt 1: written: http" in told.stdout
    assert sorted(keys(client, run.id)) == [
        "fan-out-items", "fan-out-progress", "fan-out-summary"
    ]  # fmt: skip
    state = client.read_flow_run(run.id).state
    assert state is not None and state.is_crashed()
    assert "the process died: 0 of 2 items succeeded, 2 not started" in str(state.message)
    assert str(run.id) not in run_command("publish").stdout


@pytest.fixture
def attempted(client: SyncPrefectClient) -> Callable[[FlowRun], FlowRun]:
    def attempt(run: FlowRun) -> FlowRun:
        """A run of a deployment, as its worker runs it; again where it has ended, as by Retry."""
        if run.run_count:
            reply = client.request(
                "POST",
                "/flow_runs/{id}/set_state",
                path_params={"id": run.id},
                json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}},
            )
            assert reply.json()["status"] == "ACCEPT"
            run = client.read_flow_run(run.id)
        run_flow(cast(Any, fan_out), flow_run=run, parameters=run.parameters, return_type="state")
        return client.read_flow_run(run.id)

    return attempt


def test_a_retry_adds_what_is_new_and_names_its_attempt(
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    attempted: Callable[[FlowRun], FlowRun],
) -> None:
    half = {"text": "half", "finish_reason": "length"}
    upstream.configure(
        script=[
            {"match": "of south:", "reply": [{"status": 400, "text": "no"}, half]},
            {"match": ".", "reply": "an answer"},
        ]
    )
    deployment = client.create_deployment(client.create_flow(fan_out), name="tried-again")
    run = attempted(
        client.create_flow_run_from_deployment(deployment, parameters=asked("north", "south"))
    )
    first = artifacts(client, run.id)
    assert {str(each.description)[:9] for each in first if each.type != "progress"} == {"Attempt 1"}
    run = attempted(run)
    assert run.run_count == 2
    second = artifacts(client, run.id)
    new = [each for each in second if each.id not in {one.id for one in first}]
    assert sorted(str(each.key) for each in new) == [
        "fan-out-items", "fan-out-over-time", "fan-out-summary"
    ]  # fmt: skip
    assert {str(each.description)[:9] for each in new} == {"Attempt 2"}
    (summary,) = (each for each in new if each.key == "fan-out-summary")
    assert str(summary.data).split("\n")[0].endswith("(attempt 2)")
    # A page has them in no order: those of before say that they are.
    old = [each for each in second if each not in new and each.type != "progress"]
    assert {str(each.description)[:35] for each in old} == {"Superseded by attempt 2 · Attempt 1"}
    # The bad answer is handed out again: nothing is new.
    run = attempted(run)
    assert run.run_count == 3
    third = artifacts(client, run.id)
    assert {each.id for each in third} == {each.id for each in second}
    assert [each.data for each in third if each.type != "progress"] == [
        each.data for each in second if each.type != "progress"
    ]
    assert upstream.settled_stats()["requests"] == 3
