"""What a fan-out is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from prefect_governor.blocks.machine.text import encodable, storable_value
from prefect_governor.blocks.secrets.exits import scrubbed_value


def _sendable(value: Any) -> Any:
    return encodable(value) if isinstance(value, str) else value


def _naming(value: Any) -> Any:
    return scrubbed_value(storable_value(value))


class Item(BaseModel):
    """One element of a fan-out. Travels as JSON, as a parameter of flow and task runs.

    Attributes:
        key: names it in the report; no two items of a run have the same.
        text: what it is about. None for a file, which is read when the item starts.
        source: the absolute path of that file.
        folder: the absolute path of a folder that the item is, with all that is in it.
        data: the row that it was made from.
        notes: what a person should know of how it was read, a line each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A key names task runs and files, stands in prompts and in the ledger.
    key: Annotated[str, BeforeValidator(_naming)]
    text: Annotated[str | None, BeforeValidator(_sendable)] = None
    source: str | None = None
    folder: str | None = None
    data: Annotated[dict[str, Any] | None, BeforeValidator(storable_value)] = None
    notes: Annotated[tuple[str, ...], BeforeValidator(_naming)] = ()
