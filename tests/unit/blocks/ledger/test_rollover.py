"""A day ends while calls are in flight and waiting: the clock is injected, nothing sleeps."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.purse import Purse
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Admission, Bound, Demand, Usage
from tests.unit.clocks import SECOND, Clock

BERLIN = ZoneInfo("Europe/Berlin")
CALLS = 200
DAY = Account("team/budget", "team", CALLS * 10, None, "day", "Europe/Berlin", "1")
MONTH = Account("org", "org", CALLS * 25, None, "month", "Europe/Berlin", "1")


def evening() -> Clock:
    """Two seconds before midnight in Berlin, one hour later than in UTC."""
    now = datetime(2026, 11, 24, 23, 59, 58, tzinfo=BERLIN)
    return Clock(wall=int(now.timestamp()) * SECOND)


@dataclass
class Ledger:
    desk: LedgerDesk
    clock: Clock

    def ask(self, call: str, nano: int = 10, pause_seconds: float = 0.0) -> "Future[Admission]":
        demand = Demand(call, (DAY.key, MONTH.key), (), Bound(nano, 0, 0))
        return self.desk.admit(demand, pause_seconds=pause_seconds)

    def settle(self, call: str, nano: int = 10) -> None:
        self.desk.settle(call, Usage(nano, 0, 0))

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.desk.run_once()

    def purse(self, account: Account, label: str) -> Purse:
        known = self.desk.store.read_purse(account.key, label)
        assert known is not None
        return known[1]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    clock = evening()
    store = SQLiteStore(tmp_path / "ledger.sqlite", now=clock)
    desk = LedgerDesk(store, Owner(tmp_path / "owners"), now=clock, threaded=False)
    made = desk.write(lambda batch: [batch.register(each) for each in (DAY, MONTH)])
    desk.run_once()
    assert made.result(0) == [True, True]
    yield Ledger(desk, clock)
    desk.close()
    assert os.getpid() == desk.process.pid


def test_clock_stands_where_the_days_differ() -> None:
    wall = evening().wall / SECOND
    assert datetime.fromtimestamp(wall, BERLIN).hour == 23
    assert datetime.fromtimestamp(wall, timezone.utc).hour == 22


def test_day_that_ends_under_load_charges_each_call_to_its_own_day(ledger: Ledger) -> None:
    today = [ledger.ask(f"today-{at}") for at in range(CALLS)]
    waiting = [ledger.ask(f"waits-{at}") for at in range(CALLS)]
    ledger.turn()
    assert all(each.done() for each in today)
    assert not any(each.done() for each in waiting), "held by reservations, not over budget"

    ledger.clock.pass_(3)
    ledger.turn()
    assert [each.result(0).call_id for each in waiting] == [f"waits-{at}" for at in range(CALLS)]
    for at in range(CALLS):
        ledger.settle(f"today-{at}")
        ledger.settle(f"waits-{at}", 5)
    ledger.turn()
    old, new = (ledger.purse(DAY, label) for label in ("2026-11-24", "2026-11-25"))
    assert (old.spent_nano, old.reserved_nano) == (CALLS * 10, 0)
    assert (new.spent_nano, new.reserved_nano) == (CALLS * 5, 0)
    assert ledger.purse(MONTH, "2026-11").spent_nano == CALLS * 15


def test_call_that_is_over_budget_today_goes_tomorrow(ledger: Ledger) -> None:
    ledger.ask("all", CALLS * 10)
    ledger.turn()
    ledger.settle("all", CALLS * 10)
    ledger.turn()
    refused, paused = ledger.ask("refused"), ledger.ask("paused", pause_seconds=60)
    ledger.turn()
    with pytest.raises(OverBudget, match=r"2026-11-24"):
        refused.result(0)
    assert not paused.done()
    ledger.clock.pass_(3)
    ledger.turn()
    assert paused.result(0).waited_seconds == pytest.approx(3)


def test_month_above_holds_whatever_the_day_gives(ledger: Ledger) -> None:
    for day in range(2):
        for at in range(CALLS):
            ledger.ask(f"{day}-{at}")
        ledger.turn()
        for at in range(CALLS):
            ledger.settle(f"{day}-{at}")
        ledger.turn()
        ledger.clock.pass_(86_400)
    third = [ledger.ask(f"third-{at}") for at in range(CALLS)]
    ledger.turn()
    got = sum(each.done() and each.exception(0) is None for each in third)
    assert got == CALLS // 2
    for at in range(CALLS // 2):
        ledger.settle(f"third-{at}")
    ledger.turn()
    with pytest.raises(OverBudget, match="org"):
        third[-1].result(0)
    assert ledger.purse(MONTH, "2026-11").spent_nano == CALLS * 25


def test_clock_that_is_set_back_over_midnight_gives_no_second_day(ledger: Ledger) -> None:
    ledger.clock.pass_(3)
    ledger.ask("new", CALLS * 10)
    ledger.turn()
    ledger.settle("new", CALLS * 10)
    ledger.clock.wall -= 10 * SECOND
    again = ledger.ask("again")
    ledger.turn()
    with pytest.raises(OverBudget, match="2026-11-25"):
        again.result(0)
    # And it opens again when the clock comes to the day after.
    ledger.clock.pass_(86_400 + 10)
    tomorrow = ledger.ask("tomorrow")
    ledger.turn()
    assert tomorrow.result(0).call_id == "tomorrow"
