"""The desk: budgets that are spent, limits and ceilings that change, windows that end."""

from dataclasses import replace

from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import Rate
from tests.contract.conftest import USAGE, Office, define, demand, in_flight, purse_of
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import Clock

BIG = Bound(600, 1, 1)


# Over budget


def test_the_refusal_carries_the_numbers(desk: LedgerDesk) -> None:
    define(desk.store, Account("team", "Team", 2_000_000_000, None, version="2"))
    desk.admit(demand("a", bound=Bound(1_988_700_000, 1, 1)))
    desk.run_once()
    desk.settle("a", Usage(1_988_700_000, 1, 1))
    call = desk.admit(demand("b", bound=Bound(42_000_000, 1, 1)))
    desk.run_once()
    assert error_of(call).startswith(
        "OverBudget: needs $0.0420, $0.0113 of the $2.00 ceiling of budget 'Team' is left"
    )


def test_a_call_waits_for_reservations_and_is_refused_only_when_they_are_spent(
    desk: LedgerDesk,
) -> None:
    first, second, third = (desk.admit(demand(name, bound=BIG)) for name in "abc")
    desk.run_once()
    assert went([first, second]) == [True, False]
    assert "held by reservations" in str(desk.stats(None).waiting_for)
    desk.settle("a", Usage(300, 1, 1))
    desk.run_once()
    assert went([second, third]) == [True, False] and not third.done()
    desk.settle("b", Usage(600, 1, 1))
    desk.run_once()
    assert error_of(third).startswith("OverBudget: needs")


def test_all_that_cannot_be_paid_are_refused_at_once(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number), bound=Bound(2000, 1, 1))) for number in range(600)]
    desk.run_once()
    assert all(error_of(each).startswith("OverBudget") for each in calls)


def test_unknown_budgets_and_limits_refuse_their_calls_at_once_and_no_other(
    desk: LedgerDesk,
) -> None:
    lost = [desk.admit(demand(str(n), limits=("nobody told",))) for n in range(5)]
    lost += [desk.admit(demand(f"b{n}", accounts=("nobody told",))) for n in range(5)]
    good = desk.admit(demand("good"))
    desk.run_once()
    assert all("nobody told" in error_of(each) for each in lost)
    assert went([good]) == [True]


def test_raising_the_ceiling_wakes_who_waits_and_an_older_document_does_not_count(
    desk: LedgerDesk, office: Office
) -> None:
    calls = [desk.admit(demand(name, bound=BIG)) for name in "ab"]
    desk.run_once()
    other = office.desk("other")
    desk.store.changed()
    older = other.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=9999, version="0")))
    other.run_once()
    assert older.result(0) is False
    desk.run_once()
    assert went(calls) == [True, False]
    newer = other.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=1200, version="2")))
    other.run_once()
    assert newer.result(0) is True and desk.store.changed()
    desk.run_once()
    assert went(calls) == [True, True]


def test_a_ceiling_raised_in_the_same_transaction_counts_in_it(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(name, bound=BIG)) for name in "ab"]
    desk.run_once()
    desk.settle("a", Usage(600, 1, 1))
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=1200, version="2")))
    desk.run_once()
    assert went(calls) == [True, True]


def test_a_ceiling_lowered_below_what_is_reserved_refuses_and_settles_what_goes(
    desk: LedgerDesk,
) -> None:
    desk.admit(demand("a", bound=BIG))
    desk.run_once()
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=100, version="2")))
    waiting = desk.admit(demand("b"))
    desk.run_once()
    assert not waiting.done()
    desk.settle("a", Usage(600, 1, 1))
    desk.run_once()
    assert error_of(waiting).startswith("OverBudget: needs $0.000000100, $0.00 of the")
    assert purse_of(desk.store) == (600, 0, 0)


# Limits that change, windows that end


def test_a_limit_redefined_in_mid_flight_counts_what_flies(desk: LedgerDesk) -> None:
    calls = [desk.admit(demand(str(number))) for number in range(5)]
    desk.run_once()
    desk.write(lambda batch: batch.define(replace(LLM, max_concurrent=1)))
    desk.settle("0", USAGE)
    desk.run_once()
    assert went(calls) == [True, True, False, False, False]
    desk.settle("1", USAGE)
    desk.write(lambda batch: batch.define(replace(LLM, max_concurrent=3)))
    desk.run_once()
    assert went(calls) == [True] * 5
    assert in_flight(desk.store) == 3
    gate = desk.store.read_gate("llm")
    assert gate is not None and gate.max_in_flight == 3


def test_a_limit_defined_with_rates_in_mid_flight_is_not_corrected_by_who_never_took(
    desk: LedgerDesk,
) -> None:
    desk.admit(demand("a"))
    desk.run_once()
    desk.write(lambda batch: batch.define(replace(LLM, rates=(Rate("tokens", 500),))))
    desk.admit(demand("b"))
    desk.run_once()
    desk.settle("a", Usage(1, 0, 0))
    desk.run_once()
    gate = desk.store.read_gate("llm")
    assert gate is not None and sum(gate.meters[0].taken.values()) == 50


def test_a_call_in_flight_over_midnight_settles_into_its_own_day(
    desk: LedgerDesk, clock: Clock
) -> None:
    define(desk.store, replace(TEAM, window="day", version="2"))
    desk.admit(demand("a", bound=BIG))
    waiting = desk.admit(demand("b", bound=BIG))
    desk.run_once()
    assert not waiting.done()
    clock.pass_(86_400)
    desk.run_once()
    assert waiting.done(), "the new day has its whole ceiling"
    desk.settle("a", USAGE)
    desk.run_once()
    assert purse_of(desk.store, label="2026-11-24") == (40, 0, 0)
    assert purse_of(desk.store) == (0, 0, 600)
