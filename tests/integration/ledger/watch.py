"""A write that others may see, and whether it is seen."""

import time
from collections.abc import Callable

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.records.budgets import Account


def write(store: Store, key: str = "team") -> None:
    with store.transaction() as rows:
        rows.put_account(Account(key, key, 5, None))


def soon(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.005)
    return found
