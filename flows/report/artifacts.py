"""The artifacts of a run: the table of all items, the picture and the Markdown summary."""

import hashlib
import json
from pathlib import Path
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_logger

from prefect_governor.flows.publications.writing import ATTEMPT, BESIDE, CONTENT
from prefect_governor.flows.report.artifact import artifact
from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.markdown import PICTURE, summary
from prefect_governor.flows.report.model import Report, tally
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.shown.pictures import picture_fields
from prefect_governor.flows.report.shown.places import on_host
from prefect_governor.flows.report.table import rows

_logger = get_logger("prefect_governor.report")


def artifacts_of(
    report: Report, *, key_prefix: str, flow_run_id: UUID, attempt: int = 1
) -> list[ArtifactCreate]:
    """`<key_prefix>-items` (a table), `<key_prefix>-over-time` (the picture, where there is one)
    and `<key_prefix>-summary` (Markdown), in the order in which they are to be created: the last
    stands first on the run's page.

    `attempt` is the run's count, from 1. Artifacts of another attempt that came to the same have
    the same `CONTENT` in their metadata.
    """
    content = content_of(report)
    metadata = {ATTEMPT: str(attempt), CONTENT: content}
    made = [
        artifact(
            type="table",
            key=artifact_key(key_prefix, "items"),
            description=_of_attempt(_description(report), attempt),
            data=json.dumps(rows(report)),
            flow_run_id=flow_run_id,
            metadata_=metadata,
        )
    ]
    svg = _svg(report)
    if svg is not None:
        made.append(
            artifact(
                **picture_fields(svg, title=PICTURE),
                key=artifact_key(key_prefix, "over-time"),
                description=_of_attempt(PICTURE, attempt),
                flow_run_id=flow_run_id,
                metadata_=metadata,
            )
        )
    # Beside the summary's own page, whatever the UI's address is.
    text = summary(report, picture=None if svg is None else f"./{BESIDE}")
    if attempt > 1:
        heading, line, rest = text.partition("\n")
        text = f"{heading} (attempt {attempt}){line}{rest}"
    made.append(
        artifact(
            type="markdown",
            key=artifact_key(key_prefix, "summary"),
            description=_of_attempt(
                f"{report.outcome.capitalize()}: {tally(report.items)}", attempt
            ),
            data=text,
            flow_run_id=flow_run_id,
            metadata_=metadata,
        )
    )
    return made


def content_of(report: Report) -> str:
    """A digest of what a report says of its run, whichever attempt says it: outcome, reasons,
    results and what they cost; neither times nor what others spent meanwhile."""
    said = [
        report.outcome,
        report.reason,
        [
            [each.key, each.state, each.reason, str(each.usd), each.calls, each.to_json()["result"]]
            for each in report.items
        ],
        [[each.key, each.reason] for each in report.skipped],
    ]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:32]


def _of_attempt(description: str, attempt: int) -> str:
    return f"Attempt {attempt} · {description}"


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
