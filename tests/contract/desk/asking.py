"""What is asked of a desk, and what it answered and told."""

from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import Any

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Admission, Bound, Demand, Usage
from prefect_governor.blocks.records.notices import Notice
from tests.contract.terms import TEAM

_numbers = count()
Futures = list["Future[Admission]"]


# Asked


def call(call_id: str, nano: int, account: str = "team", **more: Any) -> Demand:
    return Demand(call_id, (account,), (), Bound(nano, 1, 1), **more)


def spend(desk: LedgerDesk, nano: int, account: str = "team") -> None:
    """Spend so much, as one call."""
    call_id = f"spent {next(_numbers)}"
    desk.admit(call(call_id, nano, account))
    desk.run_once()
    desk.settle(call_id, Usage(nano, 1, 1))
    desk.run_once()


def raise_to(desk: LedgerDesk, nano: int, version: str = "2") -> None:
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=nano, version=version)))
    desk.run_once()


# Answered


def went(futures: Futures) -> list[bool]:
    """Which were admitted."""
    return [each.done() and each.exception() is None for each in futures]


def goes(future: "Future[Admission]") -> bool:
    return future.done() and future.exception() is None


def error_of(future: "Future[Any]") -> str:
    assert future.done(), "nobody answered it"
    error = future.exception()
    assert error is not None
    return f"{type(error).__name__}: {error}"


def told(store: Store) -> list[Notice]:
    with store.transaction() as rows:
        return rows.notices(100)
