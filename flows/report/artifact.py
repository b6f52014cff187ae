"""One artifact, as Prefect's API takes it. All of ours are made here."""

from typing import Any

from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.secrets.exits import scrubbed_value


def artifact(**fields: Any) -> ArtifactCreate:
    """`ArtifactCreate` of whatever text."""
    return ArtifactCreate(**scrubbed_value(storable_value(fields)))


def artifact_changes(**fields: Any) -> ArtifactUpdate:
    """`ArtifactUpdate` of whatever text."""
    return ArtifactUpdate(**scrubbed_value(storable_value(fields)))
