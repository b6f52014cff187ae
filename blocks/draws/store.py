"""A machine's ledger, of which it may spend only what it has drawn."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from prefect_governor.blocks.ledger.decision.purse import Purse, PurseKey, is_allocation
from prefect_governor.blocks.ledger.sqlite.memory import Memory
from prefect_governor.blocks.ledger.sqlite.rows import SQLiteRows
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.records.budgets import PREFECT_API, UNSAVED, Account
from prefect_governor.blocks.records.drawn import (
    ELSEWHERE,
    GRANTED,
    LOST,
    SEEN,
    WANTED,
    Drawing,
    Drawn,
)

# For how long nobody is refused by what the counter said, in seconds, without asking it anew.
FRESH_SECONDS = 2.0


def is_drawn(account: Account) -> bool:
    """Whether an account's money has to be drawn: a saved budget's. What scripts and runs set
    themselves is this machine's alone, and what has no ceiling has nothing to draw."""
    return not (
        is_allocation(account.key)
        or account.key.startswith(UNSAVED)
        or account.ceiling_nano is account.ceiling_tokens is None
    )


class DrawnRows(SQLiteRows):
    """Purses with what is drawn of them. `met` is told of each."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Instant,
        memory: Memory | None,
        met: Callable[[PurseKey], None],
    ) -> None:
        super().__init__(connection, now, memory)
        self._met = met

    def purse(self, account: Account, label: str) -> Purse:
        purse = super().purse(account, label)
        if is_drawn(account):
            self._met(purse.key)
            purse.drawing = self.drawing(account, label)
        return purse

    def drawing(self, account: Account, label: str) -> Drawing:
        """What is drawn of a budget's window."""
        rows = self._db.execute(
            'SELECT name, value FROM marks WHERE subject = ? AND "window" = ?'
            " AND name >= 'draws/' AND name < 'draws0'",
            (account.key, label),
        )
        marks = {str(row["name"]): int(row["value"]) for row in rows}
        return Drawing(self._drawn(marks, "nano"), self._drawn(marks, "tokens"))

    def _drawn(self, marks: dict[str, int], meter: str) -> Drawn:
        age = self.now.boot - marks.get(SEEN[meter], 0)
        return Drawn(
            marks.get(GRANTED[meter], 0),
            marks.get(ELSEWHERE[meter], 0),
            SEEN[meter] in marks and 0 <= age <= FRESH_SECONDS * 1e9,
            marks.get(WANTED[meter], 0),
            bool(marks.get(LOST[meter], 0)),
        )


class DrawnStore(SQLiteStore):
    """A ledger in a file of the machine. `shared_id` is what it has in common with those of other
    machines; `met` are the purses that this process has met, which are to be drawn for."""

    shared_id = PREFECT_API

    def __init__(self, path: Path, *, now: Callable[[], Instant] = machine_now) -> None:
        self.met: dict[PurseKey, None] = {}
        super().__init__(path, now=now)

    def _rows(
        self, connection: sqlite3.Connection, now: Instant, memory: Memory | None = None
    ) -> DrawnRows:
        return DrawnRows(connection, now, memory, self._meet)

    def _meet(self, key: PurseKey) -> None:
        self.met.setdefault(key)
