"""What a reader finds in a table, before it is made a row; and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from prefect_governor.blocks.errors import ConfigurationError


class NotATable(ConfigurationError):
    """A file that holds no rows that can be read. `why` says it without the file's name."""

    def __init__(self, where: str, why: str, *, joint: str = ": ") -> None:
        super().__init__(f"{where}{joint}{why}")
        self.why = why


@dataclass(frozen=True)
class Record:
    """A row as the file has it: fields by name, or a text."""

    place: str
    value: Any


@dataclass(frozen=True)
class BadRecord:
    """A row that cannot be read."""

    place: str
    why: str


Records = Iterator[Record | BadRecord]


class HowRead(Protocol):
    """What a person said of how tables are read; `Reading` has all of it."""

    @property
    def encoding(self) -> str | None: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def text_column(self) -> str | None: ...
    @property
    def key_column(self) -> str | None: ...
    @property
    def skip_bad_rows(self) -> bool: ...


@dataclass
class Telling:
    """What a person should know of how one file was read.

    Attributes:
        said: of the whole file, a line each.
        notes: of each of its rows.
        left_out: what it holds that is no row, by place, with the reason.
        blank: how many rows say nothing, and are none.
    """

    said: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    left_out: list[tuple[str, str]] = field(default_factory=list)
    blank: int = 0
