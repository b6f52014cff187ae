"""The fan-out as ops people run it: deployed, on a schedule, by a process worker that may die."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import RRuleSchedule
from prefect.client.schemas.sorting import FlowRunSort

from prefect_governor import Budget, Governor, Limit, fan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import resolve
from prefect_governor.blocks.work.ledgers import desk
from tests import ROOT
from tests.integration.conftest import Corpus
from tests.integration.workers import reaching, worker_of
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@pytest.fixture(scope="module")
def deployment(server: object) -> UUID:
    """The fan-out's deployment; all of the project's are made by `prefect deploy`."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="governed", type="process"))
    made = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name("fan-out/fan-out").id


@pytest.fixture(scope="module")
def worker(
    deployment: UUID,
    provider_process: ProviderProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[psutil.Process]:
    """A process worker on the pool that prefect.yaml names."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "governed"]
    with worker_of(
        command, tmp_path_factory.mktemp("worker"), variables=reaching(provider_process)
    ) as process:
        yield process


def wait_for(what: Callable[[], Any], *, seconds: float = 120) -> Any:
    """What `what` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def final_state(client: SyncPrefectClient, run_id: UUID) -> Callable[[], State | None]:
    def read() -> State | None:
        state = client.read_flow_run(run_id).state
        return state if state is not None and state.is_final() else None

    return read


def test_the_research_is_deployed_and_its_question_is_all_that_its_form_requires(
    deployment: UUID, client: SyncPrefectClient
) -> None:
    made = client.read_deployment_by_name("research/research")
    assert made.entrypoint == "prefect_governor.flows.research_flow.research"
    assert made.work_pool_name == "governed"
    assert made.parameter_openapi_schema is not None
    assert made.parameter_openapi_schema.get("required") == ["question"]
    assert {"plan", "corpus", "governor", "max_usd"} <= set(
        made.parameter_openapi_schema["properties"]
    )


def test_the_deployed_research_runs_in_a_worker_and_spends_what_is_billed(
    worker: psutil.Process,
    deployment: UUID,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
) -> None:
    folder = corpus(2)[0].parent
    tasks = [{"id": name, "objective": f"What does {name} say?"} for name in ("first", "second")]
    run = client.create_flow_run_from_deployment(
        client.read_deployment_by_name("research/research").id,
        parameters={
            "question": "What do they say?",
            "corpus": ["*.txt"],
            "folder": str(folder),
            "plan": {"tasks": tasks},
            "model": MODEL,
            "max_rounds": 0,
            "max_output_tokens": 50,
        },
    )
    ended = wait_for(final_state(client, run.id))
    assert ended.is_completed() and ended.name == "Completed", ended
    stats = upstream.settled_stats()
    calls = desk().store.read_spend("item", {"run_id": str(run.id)})
    assert {name: calls[name].calls for name in ("first", "second")} == {"first": 1, "second": 1}
    assert sum(each.calls for each in calls.values()) == stats["requests"] == 3
    assert sum(each.spent_nano for each in calls.values()) == stats["billed_nano"]


def test_second_scheduled_run_draws_on_what_the_first_left_of_the_day(
    worker: psutil.Process,
    deployment: UUID,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
) -> None:
    folder = corpus(8)[0].parent
    upstream.configure(output_tokens="max")
    Governor(
        budget=Budget(max_usd="0.00045", window="day"), limits=[Limit(tag="llm", max_concurrent=4)]
    ).save("scheduled", overwrite=True)
    parameters = {
        "sources": ["."],
        "folder": str(folder),
        "model": MODEL,
        "governor": "scheduled",
        "max_output_tokens": 20,
    }
    # The scheduler looks every ten seconds, and makes no run of a time that has passed. Two runs,
    # and no third that begins before the schedule is deleted.
    first_at = datetime.now(timezone.utc) + timedelta(seconds=25)
    schedule = RRuleSchedule(
        rrule=f"DTSTART:{first_at:%Y%m%dT%H%M%SZ}\nRRULE:FREQ=SECONDLY;INTERVAL=15;COUNT=2"
    )
    (made,) = client.create_deployment_schedules(
        deployment, [DeploymentScheduleCreate(schedule=schedule, parameters=parameters)]
    )
    try:
        first, second = wait_for(lambda: _ended_runs(client, deployment, 2), seconds=180)
    finally:
        client.delete_deployment_schedule(deployment, made.id)
    assert first.auto_scheduled and second.auto_scheduled
    stats = upstream.settled_stats()
    figures = budget_figures(resolve("scheduled").runtime, None)
    print(f"billed {stats['billed_nano']} of {figures.ceiling_usd} in {stats['requests']} calls")
    assert int(figures.spent_usd * 10**9) == stats["billed_nano"] <= 450_000
    assert first.state.name == "Completed"
    # Eight items cost more than half of the ceiling: the second run gets the rest.
    assert second.state.name == "Partial"
    assert 8 < stats["requests"] < 16


def _ended_runs(client: SyncPrefectClient, deployment: UUID, count: int) -> list[Any] | None:
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    ended = [run for run in runs if run.state is not None and run.state.is_final()]
    return ended[:count] if len(ended) >= count else None


def test_killed_run_that_is_retried_calls_no_finished_item_again(
    worker: psutil.Process,
    deployment: UUID,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
) -> None:
    cap, count = 4, 24
    folder = corpus(count)[0].parent
    upstream.configure(latency_seconds=0.7, output_tokens=10)
    run = client.create_flow_run_from_deployment(
        deployment,
        parameters={
            "sources": ["."],
            "folder": str(folder),
            "ask": "What is this about?",
            "model": MODEL,
            "max_concurrent": cap,
            "max_output_tokens": 20,
        },
    )
    store = desk().store
    wait_for(lambda: len(store.read_items(str(run.id))) >= count // 3)
    for child in worker.children(recursive=True):
        child.kill()
    finished = {key for key, _ in store.read_items(str(run.id))}
    assert count // 3 <= len(finished) < count
    crashed = wait_for(final_state(client, run.id))
    assert crashed.is_crashed()
    before = upstream.settled_stats()["requests"]

    # What the UI's Retry button sends.
    answer = client.request(
        "POST",
        "/flow_runs/{id}/set_state",
        path_params={"id": run.id},
        json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": False},
    )
    assert answer.json()["status"] == "ACCEPT"
    wait_for(lambda: client.read_flow_run(run.id).run_count == 2)
    # A worker that is short of time may tell of the crash again after the retry has begun.
    wait_for(lambda: client.read_flow_run(run.id).state.is_completed())  # type: ignore[union-attr]
    stats = upstream.settled_stats()
    calls = store.read_spend("item", {"run_id": str(run.id)})
    print(
        f"{len(finished)} of {count} finished before SIGKILL, {before} calls then,"
        f" {stats['requests']} in the end"
    )
    assert {calls[key].calls for key in finished} == {1}
    assert len(calls) == count
    assert stats["requests"] <= count + cap
    # What was admitted as the process was killed may not have been sent.
    admitted = sum(each.calls for each in calls.values())
    assert stats["requests"] <= admitted <= stats["requests"] + cap
    bodies = Counter(record["body_hash"] for record in upstream.log())
    assert len(bodies) == count
    assert sum(times - 1 for times in bodies.values()) <= cap
    spent = sum(each.spent_nano + each.unconfirmed_nano for each in calls.values())
    assert spent >= stats["billed_nano"]


def test_a_run_is_shared_by_flow_runs_of_a_deployment_and_is_one_report(
    worker: psutil.Process,
    deployment: UUID,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
) -> None:
    upstream.configure(output_tokens=5, latency_seconds=0.1)
    texts = [{"key": f"{at:03d}", "text": f"It is parcel {at:03d}."} for at in range(40)]
    options: dict[str, Any] = {"ask": "What is this?", "model": MODEL, "max_concurrent": 4}
    with pytest.raises(ConfigurationError, match="there is no deployment 'fan-out/none'"):
        fan_out(texts, **options, shards=2, deployment="fan-out/none")
    report = fan_out(texts, **options, shards=2, deployment="fan-out/fan-out")
    stats = upstream.settled_stats()
    assert report.outcome == "complete"
    assert [item.key for item in report.items] == [text["key"] for text in texts]
    assert (stats["requests"], stats["billed_calls"]) == (40, 40)
    assert stats["max_open"] <= 4
    spent = report.budget.spent_usd + report.budget.unconfirmed_usd
    assert int(spent * 10**9) == stats["billed_nano"]
    # They are its subflows, and nothing of the items was a parameter of theirs.
    only = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    shards = [
        run for run in client.read_flow_runs(flow_run_filter=only) if run.parameters.get("part_of")
    ]
    assert len(shards) == 2
    assert all(run.parent_task_run_id is not None for run in shards)
    assert all("parcel" not in str(run.parameters) for run in shards)
