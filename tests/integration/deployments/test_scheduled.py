"""What prefect.yaml deploys runs by its schedule, in a worker; a digest pays for what changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort

from tests.integration.conftest import Corpus
from tests.integration.deployments.conftest import ended
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@contextmanager
def each(client: SyncPrefectClient, deployment: UUID, seconds: int, **given: Any) -> Iterator[None]:
    """A schedule of so many seconds meanwhile, of runs with these parameters."""
    schedule = IntervalSchedule(
        interval=timedelta(seconds=seconds),
        anchor_date=datetime.now(timezone.utc) + timedelta(seconds=10),
    )
    (made,) = client.create_deployment_schedules(
        deployment, [DeploymentScheduleCreate(schedule=schedule, parameters=given)]
    )
    try:
        yield
    finally:
        client.delete_deployment_schedule(deployment, made.id)


def runs(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """In the order in which they were to begin."""
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def test_a_digest_fires_twice_by_its_schedule_and_the_second_pays_only_for_what_changed(
    worker: psutil.Process,
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
) -> None:
    paths = corpus(6)
    made = client.read_deployment_by_name("digest/digest")
    given = {"sources": ["*.txt"], "folder": str(paths[0].parent), "model": MODEL}

    def ran(after: datetime | None) -> FlowRun | None:
        """The first run that began after an instant and has completed: one that was to begin
        beside another is cancelled."""
        for run in runs(client, made.id):
            began, state = run.start_time, run.state
            if began is None or state is None or not state.is_completed():
                continue
            if after is None or began >= after:
                return run
        return None

    with each(client, made.id, 15, **given):
        until(lambda: ran(None) is not None, seconds=180, every=A_LOOK_AT_THE_SERVER)
        # One that begins while the sources change may see either.
        first = ran(None)
        stats = upstream.settled_stats()
        paths[0].write_text("it says something else now")
        paths[1].unlink()
        changed = datetime.now(timezone.utc)
        until(lambda: ran(changed) is not None, seconds=180, every=A_LOOK_AT_THE_SERVER)
    second = ran(changed)
    assert first is not None and first.auto_scheduled and first.state is not None
    assert second is not None and second.auto_scheduled and second.state is not None
    assert stats["requests"] == 6, first.state
    assert str(first.state.message).startswith("6 new, 0 changed, 0 as before, 0 removed; ")
    assert upstream.settled_stats()["requests"] == 7
    print(f"first: {first.state.message}\nsecond: {second.state.message}")
    told = "0 new, 1 changed, 4 as before, 1 removed; "
    # One that had begun as the sources changed may have told it.
    since = [str(run.state and run.state.message) for run in runs(client, made.id) if run != first]
    assert [each[: len(told)] for each in since].count(told) == 1, since


def test_the_nightly_reconciliation_runs_in_the_worker(
    worker: psutil.Process, client: SyncPrefectClient
) -> None:
    run = client.create_flow_run_from_deployment(
        client.read_deployment_by_name("reconcile/reconcile").id
    )
    state = ended(client, run.id)
    assert state.is_completed(), state
    assert "unconfirmed" in str(state.message)


@pytest.mark.parametrize("name", ["digest/digest", "fan-out/fan-out", "reconcile/reconcile"])
def test_nothing_runs_by_itself_before_somebody_switches_its_schedule_on(
    deploy: Callable[[str], str], client: SyncPrefectClient, name: str
) -> None:
    deploy("process")
    made = client.read_deployment_by_name(name)
    assert [each.active for each in made.schedules] == [False]
