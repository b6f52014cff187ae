"""A ledger in a folder, and the desks of the processes that share it."""

import threading
from collections.abc import Callable
from pathlib import Path

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand
from prefect_governor.blocks.records.limits import LimitRecord

BOUND = Bound(100, 10, 10)


def open_desk(folder: Path) -> LedgerDesk:
    return LedgerDesk(SQLiteStore(folder / "ledger.db"), Owner(folder / "owners"))


def set_up(folder: Path, *, ceiling: int | None, cap: int) -> None:
    store = SQLiteStore(folder / "ledger.db")
    with store.transaction() as rows:
        batch = Batch(rows, "setup")
        for key in ("leaf", "root"):
            batch.register(Account(key, key, ceiling, None, version="1"))
        batch.define(LimitRecord("llm", "llm", cap))
        batch.write()
    store.close()


def demand(call_id: str, user: str | None = None) -> Demand:
    return Demand(call_id, ("leaf", "root"), ("llm",), BOUND, Attribution(user=user))


def in_threads(work: Callable[[int], None], count: int) -> None:
    """Does `work(0)`, `work(1)` and so on, each in a thread, until all have ended."""
    threads = [threading.Thread(target=work, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
