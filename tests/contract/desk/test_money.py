"""The end of the money: parts set aside, calls that are paused, what is told of it."""

from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, OverBudget
from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Admission, Bound, Demand, Facts, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Signals
from prefect_governor.blocks.records.notices import Audit, Notice
from tests.contract.conftest import (
    USAGE,
    Clock,
    Office,
    OpenStore,
    define,
    demand,
    in_flight,
    purse_of,
)

TEAM = Account("team", "Team", 1000, None, version="1")
ROOT = Account("root", "Root", 5000, None, "day", version="1")
LOCAL = Account("local/x", "x", 100, None, version="1")
LLM = LimitRecord("llm", "llm", 2)
_numbers = count()
WITHIN = (("team", "total"), ("root", ""))


def error_of(future: "Future[Any]") -> str:
    assert future.done(), "nobody answered it"
    error = future.exception()
    assert error is not None
    return f"{type(error).__name__}: {error}"


def goes(future: "Future[Admission]") -> bool:
    return future.done() and future.exception() is None


def call(call_id: str, nano: int, account: str = "team", **more: Any) -> Demand:
    return Demand(call_id, (account,), (), Bound(nano, 1, 1), **more)


def spend(desk: LedgerDesk, nano: int, account: str = "team") -> None:
    """Spend so much, as one call."""
    call_id = f"spent {next(_numbers)}"
    desk.admit(call(call_id, nano, account))
    desk.run_once()
    desk.settle(call_id, Usage(nano, 1, 1))
    desk.run_once()


def told(store: Store) -> list[Notice]:
    with store.transaction() as rows:
        return rows.notices(100)


def raise_to(desk: LedgerDesk, nano: int, version: str = "2") -> None:
    desk.write(lambda batch: batch.register(replace(TEAM, ceiling_nano=nano, version=version)))
    desk.run_once()


@pytest.fixture
def desk(office: Office, store: Store) -> LedgerDesk:
    define(store, TEAM, ROOT, LOCAL, LLM)
    return office.desk(store=store)


# Set aside


def part(key: str = "alloc/a", **more: Any) -> Allocation:
    return Allocation(key, key, WITHIN, **more)


def test_what_is_set_aside_is_kept_in_every_budget_around_it(
    desk: LedgerDesk, open_store: OpenStore
) -> None:
    made = desk.allocate(part(owner="one"), "synthesis", Bound(400, 0, 0))
    desk.run_once()
    assert made.exception(0) is None
    for store in (desk.store, open_store()):
        for account in ("team", "root"):
            ((allocation, own, purse),) = store.read_allocations(account)
            known = store.read_purse(account)
            assert known is not None and known[1].allocated_nano == 400
        assert (own.name, own.ceiling_nano, own.ceiling_tokens) == ("synthesis", 400, None)
        assert purse.rest() == (400, 0)
        # The empty label has become the day that it was then.
        assert allocation == part(owner="one").__class__(
            "alloc/a", "alloc/a", (("team", "total"), ("root", "2026-11-24")), owner="one"
        )


def test_an_allocation_that_is_not_free_is_refused_at_once_and_holds_nothing(
    desk: LedgerDesk,
) -> None:
    desk.admit(call("holds", 700))
    refused = desk.allocate(part(), "synthesis", Bound(301, 0, 0))
    desk.admit(call("later", 1))
    desk.run_once()
    # Requests come before whoever waits in the same transaction.
    assert refused.exception(0) is None
    second = desk.allocate(part("alloc/b"), "b", Bound(700, 0, 0))
    desk.run_once()
    assert error_of(second).startswith("OverBudget: the allocation 'alloc/b' needs $0.000000700,")
    assert "set aside in allocations" in error_of(second)
    assert error_of(desk_answer(desk, "team")).startswith("ConfigurationError")
    assert desk.store.read_allocations("team")[0][0].key == "alloc/a"
    assert len(desk.store.read_allocations("team")) == 1


def desk_answer(desk: LedgerDesk, key: str) -> "Future[None]":
    asked = desk.allocate(part(key), "b", Bound(1, 0, 0))
    desk.run_once()
    assert isinstance(asked.exception(0), ConfigurationError)
    return asked


def test_asked_again_an_allocation_is_the_same_and_given_back_once(desk: LedgerDesk) -> None:
    for _ in range(2):
        desk.allocate(part(), "a", Bound(400, 0, 0))
    desk.run_once()
    under = desk.admit(Demand("under", ("alloc/a", "team"), (), Bound(100, 1, 1)))
    desk.run_once()
    assert goes(under)
    backs = [desk.give_back("alloc/a") for _ in range(2)]
    desk.settle("under", Usage(30, 1, 1))
    late = desk.admit(Demand("late", ("alloc/a", "team"), (), Bound(1, 1, 1)))
    desk.run_once()
    assert [each.result(0) for each in backs] == [300, 0]
    assert "was given back" in error_of(late) and isinstance(late.exception(0), OverBudget)
    known = desk.store.read_purse("team")
    assert known is not None
    assert (known[1].spent_nano, known[1].reserved_nano, known[1].allocated_nano) == (30, 0, 0)
    # Opened anew, it is under the same ceiling: what was spent under it is spent.
    desk.allocate(part(), "a", Bound(400, 0, 0))
    desk.run_once()
    assert desk.store.read_allocations("team")[0][2].rest() == (370, 0)


def test_the_rest_of_an_allocation_returns_when_its_owner_dies(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    dying = office.desk("dying")
    dying.allocate(part(owner="dying"), "a", Bound(400, 0, 0))
    dying.allocate(part("alloc/shard"), "shard", Bound(100, 0, 0))
    dying.run_once()
    desk.run_once()
    office.graveyard.dead.add("dying")
    clock.pass_(5)
    desk.run_once()
    assert [each[0].key for each in desk.store.read_allocations("team")] == ["alloc/shard"]


def test_an_allocation_opened_anew_on_another_day_never_exceeds_that_days_ceiling(
    desk: LedgerDesk, clock: Clock
) -> None:
    made = desk.allocate(part(), "synthesis", Bound(600, 0, 0))
    desk.admit(Demand("late", ("alloc/a", "team", "root"), (), Bound(500, 1, 1)))
    desk.run_once()
    desk.give_back("alloc/a")
    desk.run_once()
    assert made.exception(0) is None
    clock.pass_(86_400)
    # With 100 of it free now, and 500 that a call of yesterday may give back to it.
    again = desk.allocate(part(), "synthesis", Bound(600, 0, 0))
    spend(desk, 4900, "root")
    desk.void("late", "400")
    desk.run_once()
    assert again.exception(0) is None
    for label in ("2026-11-24", "2026-11-25"):
        known = desk.store.read_purse("root", label)
        assert known is not None
        figures = known[1]
        assert figures.gone_nano + figures.reserved_nano + figures.allocated_nano <= 5000
    assert figures.spent_nano == 4900


def test_a_call_in_a_window_that_is_over_does_not_bring_it_back(
    desk: LedgerDesk, clock: Clock
) -> None:
    desk.allocate(part(), "synthesis", Bound(600, 0, 0))
    desk.run_once()
    clock.pass_(86_400)
    spend(desk, 4000, "root")
    desk.admit(Demand("late", ("alloc/a", "team", "root"), (), Bound(500, 1, 1)))
    desk.run_once()
    # The machine's clock is set back to yesterday, where root has spent nothing.
    clock.wall -= 86_400 * 10**9
    refused = desk.admit(call("more", 1001, "root"))
    desk.run_once()
    assert error_of(refused).startswith("OverBudget"), "yesterday's money was spent again"


def test_a_call_under_an_allocation_does_not_wait_behind_those_that_lack_free_money(
    desk: LedgerDesk,
) -> None:
    desk.allocate(part(), "synthesis", Bound(300, 0, 0))
    desk.admit(call("holds", 600))
    waits = desk.admit(call("waits", 600))
    desk.run_once()
    synthesis = desk.admit(Demand("synthesis", ("alloc/a", "team", "root"), (), Bound(200, 1, 1)))
    desk.run_once()
    assert goes(synthesis) and not waits.done()


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


# Told


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
