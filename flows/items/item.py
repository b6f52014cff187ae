"""What a fan-out is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Item(BaseModel):
    """One element of a fan-out. Travels as JSON, as a parameter of flow and task runs.

    Attributes:
        key: names it in the report; no two items of a run have the same.
        text: what it is about. None for a file, which is read when the item starts.
        source: the absolute path of that file.
        data: the row that it was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    text: str | None = None
    source: str | None = None
    data: dict[str, Any] | None = None
