"""What is set aside of a budget: kept from all others, and given back."""

from concurrent.futures import Future
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, OverBudget
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from tests.contract.conftest import Office, OpenStore
from tests.contract.desk.asking import call, error_of, goes, spend
from tests.unit.clocks import Clock

WITHIN = (("team", "total"), ("root", ""))


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
