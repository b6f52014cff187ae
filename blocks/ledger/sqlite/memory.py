"""The rows that a process asks for again and again, kept from one transaction to the next.

A row is what it was for as long as no other connection has written to the file, which SQLite tells
(sqlite.org/pragma.html#pragma_data_version), and this one's own writes are told here. Whatever ends
a transaction otherwise than by its commit forgets all.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Table = Literal["accounts", "purses", "limits", "learned", "heads"]

# A run has a handful of each; more are forgotten together.
MOST_ROWS = 512


class Memory:
    """Used under the writer's lock. What is kept is not changed by whoever is handed it."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._rows: dict[tuple[Table, object], Any] = {}

    def begins(self, version: int) -> None:
        """A transaction sees this version of the file."""
        if version != self._version or len(self._rows) > MOST_ROWS:
            self.forget_all()
        self._version = version

    def get(self, table: Table, key: object, read: Callable[[], T]) -> T:
        """A row, read where it is not known; None for one that is not there is known, too."""
        place = table, key
        if place not in self._rows:
            self._rows[place] = read()
        kept: T = self._rows[place]
        return kept

    def known(self, table: Table, key: object) -> Any:
        """A row that is known and there; else None."""
        return self._rows.get((table, key))

    def put(self, table: Table, key: object, row: object) -> None:
        """It was written so."""
        self._rows[table, key] = row

    def forget(self, table: Table, key: object) -> None:
        """It was written, or may be another by the next transaction."""
        self._rows.pop((table, key), None)

    def forget_all(self) -> None:
        self._version = None
        self._rows.clear()
