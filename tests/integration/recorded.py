"""What Prefect's server has of a run's tasks, once it was told of their ends: states travel as
events, so the server is the last to know."""

from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from tests.waiting import A_LOOK_AT_THE_SERVER, until


def task_runs(client: SyncPrefectClient, run_id: str, count: int) -> dict[str, TaskRun]:
    """A flow run's task runs by name, of which there are to be so many, each ended."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)]))
    runs: list[TaskRun] = []

    def ended() -> bool:
        runs.clear()
        while page := client.read_task_runs(flow_run_filter=run, offset=len(runs)):
            runs.extend(page)
        return len(runs) >= count and all(each.state and each.state.is_final() for each in runs)

    until(ended, every=A_LOOK_AT_THE_SERVER)
    return {run.name: run for run in runs}
