"""Draws for all budgets that this machine's calls meet, one process for each at a time."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from prefect_governor.blocks.draws.counter import Counter, CounterLost
from prefect_governor.blocks.draws.counters import Counters
from prefect_governor.blocks.draws.drawer import Drawer
from prefect_governor.blocks.draws.holding import Holding
from prefect_governor.blocks.draws.store import DrawnStore
from prefect_governor.blocks.ledger.decision.purse import PurseKey
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.election import Election

METERS = ("nano", "tokens")

logger = logging.getLogger("prefect_governor.budget")


class _Purse:
    """The drawers of a budget's window, and who is elected for it."""

    def __init__(self, drawers: list[Drawer], election: Election) -> None:
        self.drawers = drawers
        self.election = election


class ByParts:
    """See `election.Electing`: for each budget's window, another process may be elected."""

    def __init__(self, draws: "Draws") -> None:
        self._draws = draws

    def won(self) -> bool:
        return True

    def close(self) -> None:
        self._draws.stand_down()


class Draws:
    """See `leases.keeper.Kept`. A server that is away ends the round.

    Args:
        folder: where the elections' locks live.
        alarm: told once of each counter that is lost: the budget's key, its name, what is wrong.
    """

    def __init__(
        self,
        desk: LedgerDesk,
        store: DrawnStore,
        counters: Counters,
        folder: Path,
        *,
        now: Callable[[], Instant],
        alarm: Callable[[str, str, str], None],
    ) -> None:
        self._desk = desk
        self._store = store
        self._counters = counters
        self._folder = folder
        self._now = now
        self._alarm = alarm
        self._purses: dict[PurseKey, _Purse] = {}
        self._untold: set[str] = set()

    def tick(self) -> None:
        """Draw and give back what is to be now. Raises ServerAway."""
        self._each(Drawer.tick)

    def close(self) -> None:
        """Give back what is spare. Raises ServerAway."""
        self._each(Drawer.close)

    def stand_down(self) -> None:
        """Everywhere; in a forked child, the parent stays elected."""
        for each in self._purses.values():
            each.election.close()
        self._purses.clear()

    def _each(self, work: Callable[[Drawer], None]) -> None:
        for key in list(self._store.met):
            purse = self._purses.get(key)
            if purse is None:
                purse = self._purses[key] = self._purse(key)
            if not purse.election.won():
                continue
            for drawer in purse.drawers:
                try:
                    work(drawer)
                except CounterLost as error:
                    self._lost(key, str(error))
            if all(drawer.done for drawer in purse.drawers):
                self._store.met.pop(key, None)
                self._purses.pop(key).election.close()

    def _purse(self, key: PurseKey) -> _Purse:
        machine = self._store.ledger_id[:12]
        drawers = [
            Drawer(
                Holding(self._desk, key, meter),
                Counter(self._counters, key, meter, machine),
                now=self._now,
            )
            for meter in METERS
        ]
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return _Purse(drawers, Election(self._folder / f"{name}.draws"))

    def _lost(self, key: PurseKey, why: str) -> None:
        if why in self._untold:
            return
        known = self._store.read_purse(*key)
        self._alarm(key[0], "" if known is None else known[0].name, why)
        self._untold.add(why)
