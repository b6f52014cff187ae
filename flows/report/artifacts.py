"""The artifacts of a run: the table of all items and the Markdown summary.

They go through the client itself: Prefect's `create_…_artifact` are sync or async depending on
who calls, and take the run from a context that other threads lack.
"""

import json
import re
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_logger

from prefect_governor.flows.report.markdown import summary
from prefect_governor.flows.report.model import Report, tally
from prefect_governor.flows.report.table import rows, storable

_logger = get_logger("prefect_governor.report")


def artifact_key(*parts: str) -> str:
    """An artifact's key of these parts: lowercase letters, digits and dashes only."""
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    return slug or "report"


async def publish_artifacts(
    report: Report, *, key_prefix: str, flow_run_id: UUID | None
) -> list[UUID]:
    """Create `<key_prefix>-items` (a table) and `<key_prefix>-summary` (Markdown) on a flow run.

    Returns the ids of those created. An API that refuses or does not answer costs an artifact
    and a warning in the log, never the report.
    """
    wanted = [
        ArtifactCreate(
            type="table",
            key=artifact_key(key_prefix, "items"),
            description=storable(_description(report)),
            data=json.dumps(rows(report)),
            flow_run_id=flow_run_id,
        ),
        ArtifactCreate(
            type="markdown",
            key=artifact_key(key_prefix, "summary"),
            description=f"{report.outcome.capitalize()}: {storable(tally(report.items))}",
            data=storable(summary(report)),
            flow_run_id=flow_run_id,
        ),
    ]
    return await _create(wanted)


def _description(report: Report) -> str:
    where = f" All of them are in {report.files[0]}." if report.files else ""
    return f"{len(report.items):,} items in input order.{where}"


async def _create(wanted: Sequence[ArtifactCreate]) -> list[UUID]:
    created: list[UUID] = []
    try:
        async with get_client() as client:
            for each in wanted:
                created.append((await client.create_artifact(each)).id)
    except Exception as error:
        _logger.warning(
            "Of the report's %d artifacts %d were published: %r", len(wanted), len(created), error
        )
    return created
