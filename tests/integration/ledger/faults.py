"""What no fault may do to a ledger: let a call through, lose a reservation, or end it for good.

A call is in flight before the fault. Calls are refused while it lasts; the error says what to do;
after recovery work goes on.
"""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand, Usage

BOUND, USAGE = Bound(100, 30, 20), Usage(40, 25, 5)
CEILING = 1000


def begin(store: Store) -> None:
    """A budget with one call in flight, which no fault may lose."""
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.register(Account("team", "Team", CEILING, None, version="1"))
        batch.write()
    admit(store, "in flight")


def admit(store: Store, call_id: str, padding: str = "") -> None:
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        decision = batch.admit(Demand(call_id, ("team",), (), BOUND))
        assert isinstance(decision, Reservation)
        batch.write()
        if padding:
            rows.put_item("run", call_id, "hash", padding)


def refused(store: Store, call_id: str = "refused", padding: str = "") -> str:
    """What the refusal of a call says."""
    with pytest.raises(LedgerUnavailable) as told:
        admit(store, call_id, padding)
    assert "no call is let through" in str(told.value)
    return str(told.value)


def goes_on(store: Store) -> None:
    """What was in flight is there still, nothing that was refused is, and calls are admitted."""
    assert figures(store) == (0, 100)
    admit(store, "after")
    with store.transaction() as rows:
        assert sorted(rows.reservations(["in flight", "refused", "after"])) == [
            "after",
            "in flight",
        ]
        batch = Batch(rows, "one")
        assert batch.settle("in flight", USAGE)
        batch.write()
    assert figures(store) == (40, 100)


def figures(store: Store) -> tuple[int, int]:
    known = store.read_purse("team")
    assert known is not None
    return known[1].spent_nano, known[1].reserved_nano


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast
