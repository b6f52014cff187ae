"""Calls as a store keeps them: admitted and settled, each in a transaction of its own."""

from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.records.calls import Reply, ReplyKey, Usage
from tests.contract.conftest import USAGE, demand

KEY = ReplyKey("run", "item", 0, "hash")


def admit(store: Store, call_id: str, owner: str = "one", **who: object) -> None:
    with store.transaction() as rows:
        batch = Batch(rows, owner)
        assert isinstance(batch.admit(demand(call_id, **who)), Reservation)  # type: ignore[arg-type]
        batch.write()


def settle(store: Store, call_id: str, usage: Usage = USAGE, reply: Reply | None = None) -> bool:
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        done = batch.settle(call_id, usage, reply)
        batch.write()
    return done
