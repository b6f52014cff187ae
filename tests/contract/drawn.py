"""The ledger that is drawn for, under the suite of every store: whatever a purse has a ceiling of
is drawn from a counter as the purse is met, so each decision of the suite passes what is drawn.

What the suite cannot show here, as it knows one ledger and no server: draws ahead of demand, what
machines draw beside each other, lost replies. Those are tests of their own, of the room `draws`.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from prefect_governor.blocks.draws.store import DrawnRows, DrawnStore
from prefect_governor.blocks.ledger.decision.purse import Purse, PurseKey
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.sqlite.memory import Memory
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.drawn import ELSEWHERE, GRANTED, SEEN
from tests.unit.blocks.draws.server import FakeServer
from tests.unit.clocks import Clock

# Tests of the suite that cannot hold where money is drawn, and why.
_LATER = "what a raise adds is drawn after the transaction that learns of it, not in it"
NOT_DRAWN = {
    "test_a_ceiling_raised_in_the_same_transaction_counts_in_it": _LATER,
    "test_a_paused_call_goes_on_when_the_ceiling_is_raised_and_it_is_told": _LATER,
    "test_a_paused_call_holds_up_neither_other_budgets_nor_smaller_calls": _LATER,
}
# By the folder of the ledger: whoever opens it anew is the same machine.
_servers: dict[Path, FakeServer] = {}


class DrawingRows(DrawnRows):
    """Draws all that is left as it meets a purse, in a transaction that writes."""

    server: FakeServer
    writes: bool

    def purse(self, account: Account, label: str) -> Purse:
        purse = super().purse(account, label)
        if purse.drawing is None or not self.writes:
            return purse
        nano = purse.gone_nano + purse.reserved_nano + purse.allocated_nano
        tokens = purse.gone_tokens + purse.reserved_tokens + purse.allocated_tokens
        self._draw(purse.key, "nano", account.ceiling_nano, nano)
        self._draw(purse.key, "tokens", account.ceiling_tokens, tokens)
        purse.drawing = self.drawing(account, label)
        return purse

    def _draw(self, key: PurseKey, meter: str, ceiling: int | None, used: int) -> None:
        if ceiling is None:
            return
        shared, own = f"{key}{meter}", f"{key}{meter}:own"
        self.server.create(own, 2**62)
        self.server.create(shared, ceiling)
        self.server.update(shared, ceiling)
        drawn = self.server.limits[own].active_slots or 0
        if drawn < ceiling:
            assert self.server.rise([shared, own], ceiling - drawn)
        elif (spare := min(drawn - ceiling, drawn - used)) > 0:
            self.server.fall([shared, own], spare)
        granted = self.server.limits[own].active_slots or 0
        for names, value in (
            (GRANTED, granted),
            (ELSEWHERE, max(0, ceiling - granted)),
            (SEEN, self.now.boot),
        ):
            if self.mark(*key, names[meter]) != value:
                self.put_mark(*key, names[meter], value)


class DrawingStore(DrawnStore):
    """See above."""

    def __init__(self, path: Path, *, now: Callable[[], Instant]) -> None:
        self._server = _servers.setdefault(path.parent, FakeServer())
        super().__init__(path, now=now)

    def _rows(
        self, connection: sqlite3.Connection, now: Instant, memory: Memory | None = None
    ) -> DrawingRows:
        rows = DrawingRows(connection, now, memory, self._meet)
        rows.server, rows.writes = self._server, memory is not None
        return rows


def open_drawn(folder: Path, clock: Clock) -> Store:
    return DrawingStore(folder / "ledger.db", now=clock)
