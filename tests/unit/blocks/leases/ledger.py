"""A ledger with one limit, as the keeper of its leases finds it."""

from prefect_governor.blocks.ledger.decision.store import Lease
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.limits import LimitRecord

KEY = "governor/llm"


def define(desk: LedgerDesk, max_concurrent: int | None) -> None:
    terms = LimitRecord(KEY, "llm", max_concurrent, (), max_concurrent is not None)
    desk.write(lambda batch: batch.define(terms)).result(30)


def ask(desk: LedgerDesk, calls: int) -> None:
    """That many calls wait, in some process."""
    desk.write(lambda batch: batch.rows.put_waiting("other", {KEY: calls})).result(30)


def rows(desk: LedgerDesk) -> list[Lease]:
    return desk.write(lambda batch: batch.rows.leases(KEY)).result(30)


def leased(desk: LedgerDesk) -> int:
    gate = desk.store.read_gate(KEY)
    assert gate is not None
    return gate.leased or 0
