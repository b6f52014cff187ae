"""What a source held and a run left out, by name."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.secrets.exits import scrubbed_value


def _naming(value: object) -> object:
    return scrubbed_value(storable_value(value))


class Skipped(BaseModel):
    """A file, folder or row that is no item, though a source held it.

    Attributes:
        key: what it would be called as an item.
        reason: why it is none, in a person's words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, BeforeValidator(_naming)]
    reason: Annotated[str, BeforeValidator(_naming)]
