"""What is to be written of one attempt of a flow run, as a file keeps it."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from prefect.client.schemas.actions import ArtifactCreate

from prefect_governor.blocks.secrets.exits import scrubbed_value

_USER = re.compile(r"^([a-z]+://)[^/]*@", re.IGNORECASE)


@dataclass(frozen=True)
class End:
    """The state that a flow run ends in: Prefect's type of it, name and message."""

    type: str
    name: str
    message: str


@dataclass(frozen=True)
class Begun:
    """What is known of a run as it begins, for whoever tells of it where its process died.

    Attributes:
        command: "fan-out" or "research", which also begins the artifacts' keys.
        kept_as: names the run in the ledger.
        governor: the block's name, None where the run had a ceiling of its own alone.
        ceiling_usd: of the run's own, as text; None where it has none.
        results: the file that has an item a line as each finishes.
        items: keys of the items that were known, in order.
        more: there were others, read as the run got to them.
        resumable: the run can be taken up again.
    """

    command: str
    kept_as: str
    results: str
    governor: str | None = None
    ceiling_usd: str | None = None
    items: tuple[str, ...] = ()
    more: bool = False
    resumable: bool = True


@dataclass(frozen=True)
class Publication:
    """What Prefect's server is to have of one attempt of a flow run.

    Attributes:
        run_id: the flow run's id.
        attempt: its run count, from 1.
        api_url: of the server that has the run, without user and password.
        artifacts: to be created, in this order; empty as long as the run goes on.
        end: the state to end the run in where its own process did not get to say so; None where
            that is somebody else's to say.
        begun: of a run that goes on.
        files: where the whole of the report is, for people.
    """

    run_id: str
    attempt: int
    api_url: str
    artifacts: tuple[Mapping[str, Any], ...] = ()
    end: End | None = None
    begun: Begun | None = None
    files: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_url", without_user(self.api_url))

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.run_id}-{self.attempt}"

    def to_json(self) -> str:
        """Without the secrets that this process knows."""
        return json.dumps(scrubbed_value(asdict(self)))


def without_user(url: str) -> str:
    """An address that is no secret."""
    return _USER.sub(r"\1", url)


def publication_of(text: str) -> Publication:
    """What `to_json` made. Raises ValueError, TypeError or KeyError for anything else."""
    data = json.loads(text)
    end, begun = data["end"], data["begun"]
    if begun is not None:
        begun = Begun(**{**begun, "items": tuple(begun["items"])})
    return Publication(
        **{
            **data,
            "artifacts": tuple(data["artifacts"]),
            "files": tuple(data["files"]),
            "end": None if end is None else End(**end),
            "begun": begun,
        }
    )


def as_kept(wanted: ArtifactCreate) -> dict[str, Any]:
    """An artifact as a publication has it."""
    kept: dict[str, Any] = wanted.model_dump(mode="json", exclude_none=True)
    return kept
