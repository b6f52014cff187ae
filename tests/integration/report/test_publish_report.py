"""`publish_report` in flows against a real Prefect server."""

import asyncio
import json
from typing import Any
from uuid import UUID

import prefect
import pytest
from packaging.version import Version
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow
from prefect.states import Crashed, Failed

from prefect_governor.blocks.errors import OverBudget, RunFailed
from prefect_governor.flows.recovery.sweep import publish_waiting
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.progress import ApiWriter, Progress, RunProgress
from prefect_governor.flows.report.publish import apublish_report, publish_report

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine shows task runs late; a report in a test waits for them."""
    monkeypatch.setattr("prefect_governor.flows.report.runs._PATIENCE_SECONDS", 60.0)


@task
def halve(n: Any) -> Any:
    if n % 2:
        raise ValueError(f"{n} is | odd\n<b>sk-abcdefgh12345678</b>")
    return n // 2


@task
def pay(n: int) -> int:
    if n > 1:
        raise OverBudget("needs $1.00, $0.50 of $2.00 is left")
    return n


@task(retries=1, retry_delay_seconds=0)
def flaky(n: int) -> int:
    from prefect.runtime import task_run

    if task_run.run_count == 1:
        raise ValueError("once more")
    return n


async def read_run(run_id: str) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(UUID(run_id))


async def artifacts(run_id: str) -> dict[str, Artifact]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=wanted)
    return {str(artifact.key): artifact for artifact in found}


def name_of(state: object) -> str | None:
    assert isinstance(state, State)
    return state.name


def outcomes(report: Any) -> list[tuple[str, str]]:
    return [(item.key, item.state) for item in report.items]


def test_a_sync_flow_with_nested_states_is_partial_in_the_api() -> None:
    @flow(name="Halve + pay")
    def some() -> Any:
        states = [halve.map([2, 3], return_state=True), pay.map([1, 2], return_state=True)]
        return publish_report([*states, [[ValueError("x")]], "plain", Crashed(message="killed")])

    report = some()
    assert isinstance(report, Report)
    assert outcomes(report) == [
        ("item-0001", "succeeded"),
        ("item-0002", "failed"),
        ("item-0003", "succeeded"),
        ("item-0004", "over_budget"),
        ("item-0005", "failed"),
        ("item-0006", "succeeded"),
        ("item-0007", "failed"),
    ]
    assert [item.result for item in report.items] == [1, None, 1, None, None, "plain", None]

    run = asyncio.run(read_run(report.run_id))
    assert run.state is not None
    assert (run.state.type.value, run.state.name) == ("COMPLETED", "Partial")
    assert "3 of 7 items succeeded" in str(run.state.message)

    found = asyncio.run(artifacts(report.run_id))
    assert set(found) == {"halve-pay-items", "halve-pay-summary"}
    table = json.loads(str(found["halve-pay-items"].data))
    assert [row["key"] for row in table[1:]] == [item.key for item in report.items]
    reason = table[2]["reason"].replace("\u200b", "")
    assert reason == "ValueError: 3 is | odd <b>[redacted]</b>"
    summary = str(found["halve-pay-summary"].data)
    assert summary.startswith("# Partial: 3 of 7 items succeeded, 3 failed, 1 over budget")
    assert r"ValueError: 3 is \| odd &lt;b&gt;\[redacted\]&lt;/b&gt;" in summary
    assert "sk-abcdefgh" not in summary + str(found["halve-pay-items"].data)


async def test_an_async_flow_with_futures_is_complete() -> None:
    @flow
    async def all_well() -> Any:
        return await apublish_report(flaky.map([1, 2]), keys=["a.md", "b.md"])

    report = await all_well()
    assert outcomes(report) == [("a.md", "succeeded"), ("b.md", "succeeded")]
    assert [item.attempts for item in report.items] == [2, 2]
    assert all(item.seconds is not None for item in report.items)
    run = await read_run(report.run_id)
    assert run.state is not None and run.state.name == "Completed"
    assert set(await artifacts(report.run_id)) == {"all-well-items", "all-well-summary"}


async def test_the_sync_form_works_in_an_async_flow() -> None:
    @flow
    async def sync_inside() -> Any:
        return publish_report(halve.map([2, 4]))

    assert outcomes(await sync_inside()) == [
        ("item-0001", "succeeded"),
        ("item-0002", "succeeded"),
    ]


def test_a_failed_run_raises_its_report() -> None:
    @flow
    def too_few() -> Any:
        return publish_report(halve.map([1, 2, 3], return_state=True), min_success=0.9)

    with pytest.raises(
        RunFailed, match="1 of 3 items succeeded, 2 failed, less than the 90%"
    ) as told:
        too_few()
    assert told.value.report.outcome == "failed"
    run = asyncio.run(read_run(told.value.report.run_id))
    assert run.state is not None and run.state.name == "Failed"
    assert "1 of 3 items succeeded" in str(run.state.message)
    assert "too-few-summary" in asyncio.run(artifacts(told.value.report.run_id))


def test_a_task_that_depends_on_a_failed_one_is_skipped_by_name() -> None:
    @flow
    def chained() -> Any:
        first = halve.submit(1)
        second = halve.submit(first)
        return publish_report([first, second], keys=["first", "second"])

    with pytest.raises(RunFailed) as told:
        chained()
    _, second = told.value.report.items
    assert (second.state, second.attempts) == ("skipped", 0)
    assert second.reason == "it depends on first, which did not succeed"


def test_a_flow_s_own_retries_run_again_and_are_not_left_hanging() -> None:
    """Prefect before 3.9 leaves a flow that *returns* Failed with retries left in AwaitingRetry for
    ever; since then it runs it again.

    (In the process that called it, Prefect then raises the first attempt's error although the run
    is Completed, where the last attempt returned a state; hence `return_state`.)
    """
    runs: list[int] = []

    @flow(retries=1)
    def control() -> Any:
        return Failed(data=ValueError("x"))

    @flow(retries=1)
    def second_time() -> Any:
        runs.append(1)
        return publish_report(halve.map([len(runs)], return_state=True))

    left = "AwaitingRetry" if Version(prefect.__version__) < Version("3.9") else "Failed"
    assert name_of(control(return_state=True)) == left
    assert name_of(second_time(return_state=True)) == "Completed"
    assert len(runs) == 2


def test_an_api_that_is_away_costs_the_artifacts_and_not_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.client.orchestration import PrefectClient

    async def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no server")

    @flow
    def away() -> Any:
        states = halve.map([2], return_state=True)
        with monkeypatch.context() as patch:
            patch.setattr(PrefectClient, "create_artifact", refuse)
            patch.setattr(PrefectClient, "read_task_runs", refuse)
            return publish_report(states)

    monkeypatch.setattr("prefect_governor.flows.publications.attempt.PATIENCE_SECONDS", 0.0)
    report: Any = away()
    assert outcomes(report) == [("item-0001", "succeeded")]
    assert (report.items[0].attempts, report.items[0].seconds) == (1, None)
    assert asyncio.run(artifacts(report.run_id)) == {}
    # They are kept, and written by whoever is next: once.
    assert [each.written for each in publish_waiting(report.run_id)] == [True]
    assert set(asyncio.run(artifacts(report.run_id))) == {"away-items", "away-summary"}
    assert list(publish_waiting(report.run_id)) == []


async def test_the_progress_artifact_is_one_and_moves() -> None:
    @flow
    async def moving() -> str:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        progress = RunProgress(ApiWriter(context.flow_run.id), key_prefix="moving")
        await progress.aupdate(Progress(total=4, done=1))
        await progress.aupdate(Progress(total=4, done=4), final=True)
        return str(context.flow_run.id)

    found = await artifacts(await moving())
    assert set(found) == {"moving-progress"}
    assert found["moving-progress"].data == 100.0
    assert "4 of 4 done" in str(found["moving-progress"].description)


RETRY = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}

# ending, persist_result, deployed, force -> the server's answer to the UI's Retry. The old UI
# sends force=false, the new one (the default since v2) force=true; both show the button for any
# run that is over and has a deployment.
RETRIES = [
    ("partial", False, True, False, "ACCEPT"),
    ("partial", False, True, True, "ACCEPT"),
    ("partial", True, True, False, "REJECT"),
    ("partial", True, True, True, "ACCEPT"),
    ("partial", False, False, False, "ABORT"),
    ("partial", False, False, True, "ACCEPT"),
    ("failed", False, True, False, "ACCEPT"),
    ("failed", True, True, False, "ACCEPT"),
    ("failed", True, False, False, "ABORT"),
    ("failed", True, False, True, "ACCEPT"),
]


@pytest.mark.parametrize(("ending", "persist", "deployed", "force", "answer"), RETRIES)
async def test_what_the_ui_s_retry_may_take_up_again(
    ending: str, persist: bool, deployed: bool, force: bool, answer: str
) -> None:
    values = [2, 3] if ending == "partial" else [1, 3]
    runs: list[int] = []

    @flow(name=f"retried-{ending}-{persist}", persist_result=persist)
    def retried() -> Any:
        runs.append(1)
        values_now = values if len(runs) == 1 else [2, 4]
        return publish_report(halve.map(values_now, return_state=True))

    async with get_client() as client:
        flow_id = await client.create_flow(retried)
        if deployed:
            deployment = await client.create_deployment(flow_id, name=f"d-{ending}-{persist}")
            run = await client.create_flow_run_from_deployment(deployment)
        else:
            run = await client.create_flow_run(retried)
        first = await _run(retried, run)
        assert first.name == {"partial": "Partial", "failed": "Failed"}[ending]

        reply = await client._client.post(
            f"/flow_runs/{run.id}/set_state", json={"state": RETRY, "force": force}
        )
        assert reply.json()["status"] == answer
        if answer != "ACCEPT":
            assert (await client.read_flow_run(run.id)).state_name == first.name
            return
        again = await _run(retried, await client.read_flow_run(run.id))
        assert again.name == "Completed"
        after = await client.read_flow_run(run.id)
        assert (after.state_name, after.run_count) == ("Completed", 2)


async def _run(a_flow: Any, run: FlowRun) -> "State[Any]":
    state = await asyncio.to_thread(run_flow, a_flow, flow_run=run, return_type="state")
    assert isinstance(state, State)
    return state


def test_the_report_can_be_read_back_where_results_are_kept() -> None:
    @flow(persist_result=True)
    def kept() -> Any:
        return publish_report(halve.map([2, 3], return_state=True))

    async def read_back(run_id: str) -> Any:
        run = await read_run(run_id)
        assert run.state is not None
        return await run.state.aresult()

    report: Any = kept()
    assert asyncio.run(read_back(report.run_id)) == report
