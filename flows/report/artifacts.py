"""The artifacts of a run: the table of all items, the picture and the Markdown summary.

They go through the client itself: Prefect's `create_…_artifact` are sync or async depending on
who calls, and take the run from a context that other threads lack.
"""

import json
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_logger

from prefect_governor.flows.report.artifact import artifact
from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.markdown import PICTURE, summary
from prefect_governor.flows.report.model import Report, tally
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.shown.pictures import picture_fields
from prefect_governor.flows.report.shown.places import on_host
from prefect_governor.flows.report.table import rows

_logger = get_logger("prefect_governor.report")


async def publish_artifacts(
    report: Report, *, key_prefix: str, flow_run_id: UUID | None
) -> list[UUID]:
    """Create `<key_prefix>-items` (a table), `<key_prefix>-over-time` (the picture, where there is
    one) and `<key_prefix>-summary` (Markdown) on a flow run.

    Returns the ids of those created. An API that refuses or does not answer costs an artifact
    and a warning in the log, never the report.
    """
    created: list[UUID] = []
    try:
        async with get_client() as client:

            async def create(wanted: ArtifactCreate) -> UUID:
                created.append((await client.create_artifact(wanted)).id)
                return created[-1]

            await create(
                artifact(
                    type="table",
                    key=artifact_key(key_prefix, "items"),
                    description=_description(report),
                    data=json.dumps(rows(report)),
                    flow_run_id=flow_run_id,
                )
            )
            link = None
            if (svg := _svg(report)) is not None:
                picture = await create(
                    artifact(
                        **picture_fields(svg, title=PICTURE),
                        key=artifact_key(key_prefix, "over-time"),
                        description=PICTURE,
                        flow_run_id=flow_run_id,
                    )
                )
                # Beside the summary's own page, whatever the UI's address is.
                link = f"./{picture}"
            await create(
                artifact(
                    type="markdown",
                    key=artifact_key(key_prefix, "summary"),
                    description=f"{report.outcome.capitalize()}: {tally(report.items)}",
                    data=summary(report, picture=link),
                    flow_run_id=flow_run_id,
                )
            )
    except Exception as error:
        _logger.warning(
            "The report's artifacts were published up to the %dth: %r", len(created) + 1, error
        )
    return created


def _svg(report: Report) -> str | None:
    if report.picture is None:
        return None
    try:
        return Path(report.picture).read_text(encoding="utf-8")
    except OSError as error:
        _logger.warning("The picture of the run cannot be read: %r", error)
        return None


def _description(report: Report) -> str:
    where = (
        literal(f" All of them: {on_host(report.host, report.files[0])}") if report.files else ""
    )
    return f"{len(report.items):,} items in input order.{where}"
