"""What a fan-out is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Item(BaseModel):
    """One element of a fan-out. Travels as JSON, as a parameter of flow and task runs.

    `text` is what it is about; None for a file, whose absolute path is `source` and which is read
    when the item starts. `data` is the row that it was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    text: str | None = None
    source: str | None = None
    data: dict[str, Any] | None = None
