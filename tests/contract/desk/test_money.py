"""The end of the money: calls that are paused, observed, fitted, reconciled."""

from dataclasses import replace
from typing import Any

import pytest

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Admission, Bound, Facts, Usage
from prefect_governor.blocks.records.notices import Audit
from tests.contract.conftest import USAGE, Office, demand, in_flight, purse_of
from tests.contract.desk.asking import call, error_of, goes, raise_to, spend, told
from tests.unit.clocks import Clock

# Paused


def test_a_paused_call_goes_on_when_the_ceiling_is_raised_and_it_is_told(
    desk: LedgerDesk, clock: Clock
) -> None:
    spend(desk, 990)
    paused = desk.admit(call("paused", 20, "team"), pause_seconds=60)
    desk.run_once()
    clock.pass_(10)
    desk.run_once()
    assert not paused.done()
    assert str(desk.stats(None).waiting_for).endswith("paused until 2026-11-24 10:01:00 UTC")
    assert desk.stats(None).held_seconds["paused for money"] == pytest.approx(10)
    assert purse_of(desk.store) == (990, 0, 0), "it holds nothing"
    raise_to(desk, 1010)
    assert paused.result(0) == Admission("paused", 10.0)
    (resumed,) = [each for each in told(desk.store) if each.kind == "resumed"]
    assert (resumed.subject, resumed.payload["calls"]) == ("team", 1)


def test_a_refusal_says_what_is_left_whatever_is_reserved_for_now(desk: LedgerDesk) -> None:
    spend(desk, 300)
    desk.admit(call("in flight", 500))
    over = desk.admit(call("over", 701))
    within = desk.admit(call("within", 700))
    desk.run_once()
    error = over.exception(0)
    assert isinstance(error, OverBudget)
    assert (error.left_nano, error.left_tokens) == (700, None)
    assert not within.done(), "held by reservations"
    desk.void("in flight", "400")
    desk.run_once()
    assert goes(within)


def test_a_call_that_yields_is_refused_and_nobody_is_told(desk: LedgerDesk) -> None:
    spend(desk, 300)
    over = desk.admit(call("over", 701, yields=True))
    desk.run_once()
    assert error_of(over).startswith("OverBudget")
    assert not [each for each in told(desk.store) if each.kind == "over_budget"]
    desk.admit(call("over too", 701))
    desk.run_once()
    assert [each for each in told(desk.store) if each.kind == "over_budget"]


def test_a_raise_by_another_process_is_seen(desk: LedgerDesk, office: Office) -> None:
    spend(desk, 1000)
    paused = desk.admit(call("paused", 20), pause_seconds=60)
    desk.run_once()
    desk.store.changed()
    other = office.desk("other")
    raise_to(other, 2000)
    assert desk.store.changed()
    desk.run_once()
    assert goes(paused)


def test_a_pause_ends_over_budget(desk: LedgerDesk, clock: Clock) -> None:
    spend(desk, 1000)
    paused = desk.admit(call("paused", 20), pause_seconds=60, queue_timeout_seconds=5)
    assert desk.run_once() == 60
    clock.pass_(59.9)
    desk.run_once()
    assert not paused.done(), "the time in the queue does not run while it is paused"
    clock.pass_(0.1)
    desk.run_once()
    assert error_of(paused).startswith("OverBudget: needs $0.000000020, $0.00 of the")
    assert error_of(paused).endswith("; it was paused for 60 s, and no money came")


def test_a_paused_call_holds_up_neither_other_budgets_nor_smaller_calls(
    desk: LedgerDesk,
) -> None:
    spend(desk, 900)
    paused = [desk.admit(call(f"big {n}", 500), pause_seconds=60) for n in range(3)]
    other = desk.admit(call("other", 500, "root"), pause_seconds=60)
    small = desk.admit(call("small", 100), pause_seconds=60)
    desk.run_once()
    assert goes(other) and goes(small) and not any(each.done() for each in paused)
    raise_to(desk, 1600)
    assert [goes(each) for each in paused] == [True, False, False]
    # Money is there, held by reservations: they wait in line again.
    desk.void("small", "400")
    desk.settle("big 0", Usage(10, 1, 1))
    desk.run_once()
    assert [goes(each) for each in paused] == [True, True, False]


def test_who_leaves_while_it_is_paused_is_gone(desk: LedgerDesk) -> None:
    spend(desk, 1000)
    paused = desk.admit(call("paused", 20), pause_seconds=60)
    desk.run_once()
    desk.abandon("paused")
    raise_to(desk, 5000)
    desk.run_once()
    assert paused.cancelled() and purse_of(desk.store) == (1000, 0, 0)


def test_a_new_day_brings_money_to_who_is_paused(desk: LedgerDesk, clock: Clock) -> None:
    spend(desk, 5000, "root")
    paused = desk.admit(call("paused", 20, "root"), pause_seconds=10**6)
    desk.run_once()
    clock.pass_(86_400)
    desk.run_once()
    assert goes(paused)


# Observed, fitted, learned


def test_an_observed_call_waits_behind_nobody_and_says_why_it_would_have(
    desk: LedgerDesk,
) -> None:
    for number in range(3):
        desk.admit(demand(str(number)))
    seen = [desk.admit(replace(demand(f"o{n}"), observe=True)) for n in range(2)]
    desk.run_once()
    assert [each.result(0).observed for each in seen] == [
        "would have waited: 2 of 2 slots of limit 'llm' are taken",
        "would have waited: 3 of 2 slots of limit 'llm' are taken",
    ]
    assert in_flight(desk.store) == 4
    gate = desk.store.read_gate("llm")
    assert gate is not None and gate.max_in_flight == 4
    spend_all = desk.admit(replace(call("over", 5000), observe=True))
    desk.run_once()
    assert "over budget" in str(spend_all.result(0).observed)
    records = {each.call_id: each for each in desk.store.read_calls(["reserved"])}
    assert records["0"].observed is None
    assert "3 of 2 slots" in str(records["o1"].observed)
    desk.settle("over", Usage(5000, 1, 1))
    for each in ("0", "1", "o0", "o1"):
        desk.settle(each, USAGE)
    desk.run_once()
    records = {each.call_id: each for each in desk.store.read_calls(["spent"])}
    assert str(records["o0"].observed).startswith("would have been over budget: ")


def test_an_observed_call_that_nothing_measures_says_so_to_the_end(desk: LedgerDesk) -> None:
    free = replace(demand("o"), bound=Bound(0, 0, 0), observe=True, unmeasured="POST /x: why")
    seen = [desk.admit(free), desk.admit(replace(call("over", 5000), observe=True))]
    desk.run_once()
    assert seen[0].result(0).observed == "not measured: POST /x: why"
    desk.settle("over", Usage(5000, 1, 1))
    desk.settle("o", Usage(5000, 1, 1))
    desk.run_once()
    found = desk.store.read_calls(["spent"], observed="not measured: ")
    assert [(each.call_id, each.observed) for each in found] == [
        ("o", "not measured: POST /x: why")
    ]
    assert not desk.store.read_calls(["spent"], observed="not % ")


def test_the_admission_says_that_it_was_fitted(desk: LedgerDesk) -> None:
    fitted = Bound(10, 1, 1)
    low = desk.admit(replace(call("low", 21), fitted=fitted))
    full = desk.admit(replace(call("full", 20), fitted=fitted))
    desk.run_once()
    assert low.result(0) == Admission("low", 0.0, fitted=True)
    assert full.result(0).fitted is True, "the first has taken what made it plenty"
    assert purse_of(desk.store) == (0, 0, 20)


def test_a_settle_teaches_in_the_same_transaction(desk: LedgerDesk) -> None:
    desk.admit(call("a", 100))
    desk.run_once()
    facts = Facts("m", local_input_tokens=10, output_limit=50)
    desk.settle("a", Usage(40, 15, 5), facts=facts)
    desk.settle("a", Usage(40, 15, 5), facts=facts)
    desk.run_once()
    learned = desk.store.read_learned("m")
    assert learned is not None
    assert (learned.calls, learned.billed_input_tokens, learned.highest_ratio) == (1, 15, 1.5)


# Reconciled


def audit(after: str) -> Audit:
    return Audit("settled", "a", "me", "by the export", "export.csv:7", "", after, 1)


def test_an_unconfirmed_call_is_reconciled_once_with_its_audit_row(desk: LedgerDesk) -> None:
    desk.admit(call("a", 100))
    desk.run_once()
    early = desk.write(lambda batch: batch.reconcile("a", USAGE, audit("early")))
    desk.run_once()
    assert early.result(0) is False and desk.store.read_audit() == []
    desk.unconfirm("a", "cut off")
    desk.run_once()
    done = [
        desk.write(lambda batch: batch.reconcile("a", USAGE, audit("once"))),
        desk.write(lambda batch: batch.reconcile("a", None, audit("twice"))),
        desk.write(lambda batch: batch.reconcile("nobody's", None, audit("never"))),
    ]
    desk.run_once()
    assert [each.result(0) for each in done] == [True, False, False]
    assert desk.store.read_audit("a") == desk.store.read_audit() == [audit("once")]
    assert desk.store.read_audit("b") == []
    assert purse_of(desk.store) == (40, 0, 0)


def test_calls_are_found_by_state_account_window_time_and_flow(
    desk: LedgerDesk, clock: Clock
) -> None:
    desk.admit(replace(demand("a", ("team",), (), flow="f"), request_id="req-1"))
    desk.run_once()
    clock.pass_(86_400)
    desk.admit(demand("b", ("team", "root"), (), flow="g"))
    desk.admit(demand("c", ("root",), ()))
    desk.run_once()
    desk.settle("c", USAGE)
    desk.run_once()

    def found(*states: Any, **where: Any) -> list[str]:
        return [each.call_id for each in desk.store.read_calls(states, **where)]

    assert found("reserved") == ["a", "b"]
    assert found("reserved", "spent", account="root") == ["b", "c"]
    assert found("reserved", "spent", account="root", label="2026-11-24") == []
    assert found("reserved", since_wall=clock.wall) == ["b"]
    assert found("reserved", flow="f") == ["a"]
    assert found("reserved", "spent", most=2) == ["b", "c"]
    (record,) = desk.store.read_calls(["reserved"], flow="f")
    assert (record.request_id, record.usage, record.owner, record.pid) == (
        "req-1", None, "one", desk.process.pid
    )  # fmt: skip
    (record,) = desk.store.read_calls(["spent"])
    assert record.usage == USAGE and record.resolved_wall == clock.wall
