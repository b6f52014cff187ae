"""What Prefect's API knows of task runs: attempts and seconds. Nothing else of a report is its.

Task states travel as events: for a moment after a run has ended the API does not know it, and
events in hand when a server is killed are lost. So it is waited for a little, and done without.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterId
from prefect.logging import get_logger

_PAGE = 200
_PATIENCE_SECONDS = 2.0
_PATIENCE_SECONDS_A_RUN = 0.01
_logger = get_logger("prefect_governor.report")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How often a task run was tried, and how many seconds it ran."""

    attempts: int
    seconds: float


async def read_runs(task_run_ids: Collection[str]) -> dict[str, RunFacts]:
    """Facts by task run id, of those that the API knows to have ended within 2 s and 10 ms a run.
    An API that does not answer gives none and a warning in the log."""
    ids = [UUID(each) for each in dict.fromkeys(task_run_ids)]
    found: dict[str, RunFacts] = {}
    patience = _PATIENCE_SECONDS + _PATIENCE_SECONDS_A_RUN * len(ids)
    try:
        await asyncio.wait_for(_read_into(found, ids), timeout=patience)
    except (TimeoutError, asyncio.TimeoutError):
        _logger.debug("%d task runs are not known to have ended yet", len(ids) - len(found))
    except Exception as error:
        _logger.warning("Task runs could not be read for the report: %r", error)
    return found


async def _read_into(found: dict[str, RunFacts], ids: list[UUID]) -> None:
    if not ids:
        return
    async with get_client() as client:
        pause = 0.1
        while True:
            for start in range(0, len(ids), _PAGE):
                found.update(await _read_page(client, ids[start : start + _PAGE]))
            ids = [each for each in ids if str(each) not in found]
            if not ids:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)


async def _read_page(client: PrefectClient, ids: list[UUID]) -> dict[str, RunFacts]:
    wanted = TaskRunFilter(id=TaskRunFilterId(any_=ids))
    runs = await client.read_task_runs(task_run_filter=wanted, limit=_PAGE)
    return {
        str(run.id): RunFacts(run.run_count, run.total_run_time.total_seconds())
        for run in runs
        if run.end_time is not None
    }
