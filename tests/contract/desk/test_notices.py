"""What the ledger has to tell: once, and of what people set up."""

from dataclasses import replace

import pytest

from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Facts, Usage
from prefect_governor.blocks.records.limits import Signals
from tests.contract.conftest import Office, define, purse_of
from tests.contract.desk.asking import call, error_of, raise_to, spend, told
from tests.contract.terms import TEAM
from tests.unit.clocks import Clock


def test_each_share_of_a_ceiling_is_told_once_whoever_crosses_it(
    desk: LedgerDesk, office: Office
) -> None:
    other = office.desk("other")
    for each in [desk, other] * 4:
        spend(each, 120)
    shares = [each.payload["share"] for each in told(desk.store) if each.kind == "ceiling_share"]
    assert shares == [0.5, 0.8, 0.95]
    desk.admit(call("unknown", 40))
    desk.run_once()
    desk.unconfirm("unknown", "cut off")
    desk.run_once()
    first = next(each for each in told(desk.store) if each.kind == "ceiling_share")
    assert dict(first.payload) == {
        "share": 0.5,
        "spent_usd": "0.000000600",
        "unconfirmed_usd": "0",
        "ceiling_usd": "0.000001",
        "window": "total",
    } or first.payload["spent_usd"].startswith("0.0000006")
    assert told(desk.store)[-1].kind in ("unconfirmed", "ceiling_share")
    # Below and above again is no news; above a raised ceiling it is.
    desk.void("unknown", "400")
    desk.run_once()
    spend(desk, 40)
    shares = [each.payload["share"] for each in told(desk.store) if each.kind == "ceiling_share"]
    assert shares == [0.5, 0.8, 0.95, 1.0]
    raise_to(desk, 2000)
    (changed,) = [each for each in told(desk.store) if each.kind == "ceiling_changed"]
    assert changed.payload["before_usd"] != changed.payload["after_usd"]
    spend(desk, 600)
    shares = [each.payload["share"] for each in told(desk.store) if each.kind == "ceiling_share"]
    assert shares == [0.5, 0.8, 0.95, 1.0, 0.8]


def test_a_refusal_is_told_once_a_minute(desk: LedgerDesk, office: Office, clock: Clock) -> None:
    spend(desk, 1000)
    other = office.desk("other")
    for each in (desk, other, desk):
        each.admit(replace(call("over", 1), call_id=f"over {id(each)} {clock.boot}"))
        each.run_once()
        clock.pass_(20)
    clock.pass_(1)
    desk.admit(call("a minute later", 1))
    desk.run_once()
    refusals = [each for each in told(desk.store) if each.kind == "over_budget"]
    assert [each.subject for each in refusals] == ["team", "team"]
    assert "is left" in refusals[0].payload["why"]


def test_throttling_is_told_once_a_minute_of_a_budget_that_people_set_up(
    desk: LedgerDesk, clock: Clock
) -> None:
    for at, account in enumerate(("team", "team", "local/x", "team")):
        if at == 3:
            clock.pass_(61)
        desk.admit(replace(call(str(at), 1, account)))
        desk.run_once()
        desk.void(str(at), "429", signals=Signals(status=429, hold_seconds=2.5))
        desk.run_once()
    desk.admit(call("refused", 1))
    desk.run_once()
    desk.void("refused", "400", signals=Signals(status=400))
    desk.run_once()
    found = [each for each in told(desk.store) if each.kind == "throttled"]
    assert [each.payload["call_id"] for each in found] == ["0", "3"]
    assert {each.subject for each in found} == {"team"}
    assert found[0].payload["hold_seconds"] == 2.5


def test_unconfirmed_calls_of_one_transaction_are_told_together(desk: LedgerDesk) -> None:
    for number in range(3):
        desk.admit(call(str(number), 10))
    desk.run_once()
    for number in range(3):
        desk.unconfirm(str(number), "cut off" if number else "timeout")
    desk.run_once()
    (notice,) = told(desk.store)
    assert (notice.kind, notice.payload["calls"]) == ("unconfirmed", 3)
    assert notice.payload["reasons"] == {"cut off": 2, "timeout": 1}


def test_a_bill_above_its_bound_is_recorded_in_full_and_told(desk: LedgerDesk) -> None:
    desk.admit(call("a", 10))
    desk.run_once()
    desk.settle("a", Usage(50, 1, 1), facts=Facts("openai/m"))
    desk.run_once()
    assert purse_of(desk.store) == (50, 0, 0)
    (notice,) = told(desk.store)
    assert (notice.kind, notice.payload["model"]) == ("bound_exceeded", "openai/m")
    assert (float(notice.payload["bound"]), float(notice.payload["billed"])) == (1e-8, 5e-8)


def test_nothing_is_told_of_what_nobody_set_up(desk: LedgerDesk) -> None:
    spend(desk, 100, "local/x")
    over = desk.admit(call("over", 1, "local/x"))
    desk.run_once()
    assert error_of(over).startswith("OverBudget") and told(desk.store) == []


def test_notices_are_removed_once_they_were_told(desk: LedgerDesk) -> None:
    spend(desk, 900)
    ids = [each.id for each in told(desk.store) if each.id is not None]
    assert len(ids) == 2
    with desk.store.transaction() as rows:
        rows.remove_notices(ids[:1])
    assert [each.id for each in told(desk.store)] == ids[1:]


def test_a_transaction_that_fails_tells_nothing(store: Store) -> None:
    from prefect_governor.blocks.ledger.decision.batch import Batch

    define(store, TEAM)
    with pytest.raises(RuntimeError), store.transaction() as rows:
        batch = Batch(rows, "one")
        assert isinstance(batch.admit(call("a", 900)), Reservation)
        assert batch.settle("a", Usage(900, 1, 1))
        batch.write()
        raise RuntimeError
    assert told(store) == []
