"""The desk: what arrives while it waits for its turn at the ledger."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.ledger.desk import LedgerDesk
from tests.contract.conftest import USAGE, demand, in_flight, purse_of


def as_it_waits(
    desk: LedgerDesk, monkeypatch: pytest.MonkeyPatch, arrive: Callable[[], None], *, comes: bool
) -> None:
    """Have `arrive` called while the desk waits for its next turn, which comes or does not."""
    before = desk.store.transaction

    @contextmanager
    def transaction() -> Iterator[Rows]:
        monkeypatch.setattr(desk.store, "transaction", before)
        arrive()
        if not comes:
            raise LedgerUnavailable("the turn did not come")
        with before() as rows:
            yield rows

    monkeypatch.setattr(desk.store, "transaction", transaction)


def test_who_comes_while_the_turn_is_waited_for_need_not_wait_for_another(
    desk: LedgerDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [desk.admit(demand("0"))]
    desk.run_once()
    settled: list[Future[None]] = []

    def arrive() -> None:
        calls.extend(desk.admit(demand(name)) for name in ("2", "3"))
        settled.append(desk.settle("0", USAGE))

    as_it_waits(desk, monkeypatch, arrive, comes=True)
    calls.append(desk.admit(demand("1")))
    desk.run_once()
    assert settled[0].done()
    # One slot was free and one came free: the first two have them.
    assert [each.done() for each in calls] == [True, True, True, False]
    assert in_flight(desk.store) == 2


def test_what_came_while_the_turn_did_not_is_neither_lost_nor_done_twice(
    desk: LedgerDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.admit(demand("0"))
    desk.run_once()
    came: list[Future[Any]] = []

    def arrive() -> None:
        came.append(desk.settle("0", USAGE))
        came.append(desk.admit(demand("1")))
        came.append(desk.write(lambda batch: None))

    as_it_waits(desk, monkeypatch, arrive, comes=False)
    desk.run_once()
    settled, admitted, written = came
    # What need not happen is answered at once; a bill and whoever waits are tried again.
    assert isinstance(written.exception(0), LedgerUnavailable)
    assert not settled.done() and not admitted.done()
    desk.run_once()
    assert settled.exception(0) is None and admitted.exception(0) is None
    assert purse_of(desk.store)[0] == USAGE.nano
    desk.run_once()
    assert purse_of(desk.store)[0] == USAGE.nano
