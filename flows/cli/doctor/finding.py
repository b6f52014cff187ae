"""What the doctor finds."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warn", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `todo` says what to do about it, None for nothing."""

    mark: Mark
    text: str
    todo: str | None = None

    def __str__(self) -> str:
        line = f"{self.mark:<8} {self.text}"
        return line if self.todo is None else f"{line}\n{'':<8} -> {self.todo}"
