"""A run's figures, read from a real ledger."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.figures.figures import (
    budget_figures,
    current_figures,
    item_figures,
    limit_figures,
    run_figures,
)
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.money.windows import Window
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.terms.limit import GovernedLimit, Limit
from prefect_governor.blocks.work.runtime import Runtime

NANO = 10**9


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[LedgerDesk]:
    desk = LedgerDesk(SQLiteStore(tmp_path / "ledger.sqlite"), Owner(tmp_path / "owners"))
    yield desk
    desk.close()


def runtime(desk: LedgerDesk, *, window: Window = "total", cap: int | None = 3) -> Runtime:
    made = Runtime(
        name="test",
        desk=desk,
        accounts_=(Account("budget", "the budget", 2 * NANO, None, window),),
        limits_=(GovernedLimit(Limit(max_concurrent=cap), "limit", False),),
    )
    made.apply()
    return made


def call(desk: LedgerDesk, call_id: str, run: str, item: str, usd: int | None = None) -> None:
    """A call that is admitted at a bound of 0.1 USD, and settled at `usd` nano-dollars."""
    desk.admit(
        Demand(
            call_id,
            ("budget",),
            ("limit",),
            Bound(NANO // 10, 10, 10),
            Attribution(run_id=run, item=item, tags=("llm", item), model="m"),
        )
    ).result(30)
    if usd is not None:
        desk.settle(call_id, Usage(usd, 7, 3)).result(30)


def test_budget_that_nothing_drew_on_has_its_ceiling_and_zeros(desk: LedgerDesk) -> None:
    figures = budget_figures(runtime(desk), "run")
    assert figures.ceiling_usd == 2
    assert figures.spent_usd == figures.reserved_usd == 0
    assert figures.name == "the budget"


def test_budget_has_what_is_spent_reserved_and_unconfirmed(desk: LedgerDesk) -> None:
    governor = runtime(desk)
    call(desk, "a", "run", "i", 5)
    call(desk, "b", "run", "i")
    call(desk, "c", "run", "i")
    desk.unconfirm("c", "nobody knows").result(30)
    figures = budget_figures(governor, "run")
    assert figures.spent_usd == Decimal("0.000000005")
    assert figures.reserved_usd == figures.unconfirmed_usd == Decimal("0.1")


def test_budget_of_each_run_shows_that_runs_money_alone(desk: LedgerDesk) -> None:
    governor = runtime(desk, window="run")
    call(desk, "a", "first", "i", 5)
    call(desk, "b", "second", "i", 7)
    assert budget_figures(governor, "first").spent_usd == Decimal("0.000000005")
    assert budget_figures(governor, "second").spent_usd == Decimal("0.000000007")
    assert budget_figures(governor, "third").spent_usd == 0


def test_what_a_run_cost_is_not_what_all_spent_of_its_budget(desk: LedgerDesk) -> None:
    governor = runtime(desk)
    call(desk, "a", "run", "i", 5)
    call(desk, "lead", "run", "lead:plan", 2)
    call(desk, "unknown", "run", "i")
    desk.unconfirm("unknown", "nobody knows").result(30)
    call(desk, "other", "other", "i", 100)
    figures = run_figures(governor, "run")
    assert figures.run_usd == Decimal("0.100000007")
    assert figures.spent_usd == Decimal("0.000000107")
    assert run_figures(governor, "third").run_usd == 0


def test_items_have_what_their_calls_were_billed(desk: LedgerDesk) -> None:
    governor = runtime(desk)
    call(desk, "a", "run", "i", 5)
    call(desk, "b", "run", "i", 6)
    call(desk, "c", "run", "j", 7)
    call(desk, "d", "other", "j", 8)
    figures = item_figures(governor, "item", {"run_id": "run"})
    assert figures["i"].usd_nano == 11
    assert (figures["i"].calls, figures["i"].input_tokens, figures["i"].output_tokens) == (2, 14, 6)
    assert figures["j"].usd_nano == 7
    assert list(item_figures(governor, "item", {"run_id": "run"}, ["j"])) == ["j"]


def test_limits_have_the_cap_and_what_was_in_flight(desk: LedgerDesk) -> None:
    governor = runtime(desk)
    for at in range(3):
        call(desk, f"call-{at}", "run", "i")
    figures = limit_figures(governor, "run")
    assert (figures.cap, figures.in_flight, figures.max_in_flight) == (3, 3, 3)
    assert limit_figures(governor, "other").max_in_flight == 0


def test_smallest_of_several_caps_is_the_cap(desk: LedgerDesk) -> None:
    outer = runtime(desk)
    inner = outer.narrowed(limits=(GovernedLimit(Limit(max_concurrent=2), "inner", False),))
    inner.apply()
    assert limit_figures(inner, "run").cap == 2
    assert limit_figures(outer, "run").cap == 3


def test_run_budget_is_the_innermost_and_its_governors_stays(desk: LedgerDesk) -> None:
    outer = runtime(desk)
    inner = outer.narrowed(account=Account("run", "this run", NANO, None))
    inner.apply()
    assert budget_figures(inner, "run").name == "this run"
    assert budget_figures(inner, "run").ceiling_usd == 1
    assert [each.key for each in inner.accounts_] == ["run", "budget"]


def test_outside_a_governor_there_are_none(desk: LedgerDesk) -> None:
    assert current_figures() is None
    with scope(Scope(cast(Any, object()))):
        assert current_figures() is None
    with scope(Scope(runtime(desk))):
        figures = current_figures()
    assert figures is not None
    assert figures.budget.ceiling_usd == 2


def test_spend_by_tag_counts_a_call_under_each_and_by_account_and_window(desk: LedgerDesk) -> None:
    runtime(desk)
    call(desk, "a", "run", "i", 5)
    call(desk, "b", "run", "j", 7)
    store = desk.store
    assert {tag: spend.spent_nano for tag, spend in store.read_spend("tag", {}).items()} == {
        "llm": 12,
        "i": 5,
        "j": 7,
    }
    assert store.read_spend("model", {}, account="budget")["m"].spent_nano == 12
    assert store.read_spend("model", {}, account="budget", label="total")["m"].calls == 2
    assert store.read_spend("model", {}, account="budget", label="2026-01-01") == {}
    assert store.read_spend("model", {}, account="another") == {}
    assert store.read_spend("model", {}, since_wall=0)["m"].calls == 2
    assert store.read_spend("model", {}, since_wall=2**62) == {}
    assert store.read_spend("tag", {"item": "i"}, ["llm"])["llm"].calls == 1


def test_run_that_waits_for_a_raise_is_shown_as_paused_for_money(desk: LedgerDesk) -> None:
    here = runtime(desk)
    who = Attribution(run_id="run", model="m")
    first = Demand("all", ("budget",), (), Bound(2 * NANO, 0, 0), who)
    desk.admit(first).result(30)
    desk.settle("all", Usage(2 * NANO, 0, 0)).result(30)
    paused = desk.admit(Demand("more", ("budget",), (), Bound(NANO, 0, 0), who), pause_seconds=60)
    # What is asked after it is answered once it was looked at.
    desk.write(lambda _: None).result(30)
    desk.write(lambda _: None).result(30)
    shown = limit_figures(here, "run").waiting_for
    assert shown is not None
    assert shown.startswith("paused for money: needs $1.00")
    assert not paused.done()
    desk.abandon("more").result(30)
