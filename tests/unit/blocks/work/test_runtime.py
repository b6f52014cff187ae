"""What a governor at work reads of its ledger: rarely, and of the right window."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, cast

import pytest

from prefect_governor.blocks.ledger.decision.admission import Purse
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.work.runtime import Runtime
from tests.unit.clocks import SECOND, Clock


@dataclass
class Shelf:
    """The reads of a store: an account's purses by their window's label, the latest one first."""

    purses: dict[str, tuple[Account, dict[str, Purse]]] = field(default_factory=dict)
    known: dict[str, Learned] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def put(self, account: Account, *purses: Purse) -> None:
        self.purses[account.key] = (account, {each.label: each for each in purses})

    def read_learned(self, model: str) -> Learned | None:
        self.reads.append(model)
        return self.known.get(model)

    def read_purse(self, key: str, label: str | None = None) -> tuple[Account, Purse] | None:
        self.reads.append(key)
        if key not in self.purses:
            return None
        account, purses = self.purses[key]
        return account, purses[label or next(iter(purses))]


@dataclass(eq=False)
class Shop:
    store: Shelf = field(default_factory=Shelf)
    cuts: list[Callable[[], None]] = field(default_factory=list)

    def on_cut_off(self, callback: Callable[[], None]) -> None:
        self.cuts.append(callback)


def runtime(*accounts: Account, **more: Any) -> tuple[Runtime, Shelf, Clock]:
    shop, clock = Shop(), Clock()
    made = Runtime("team", cast(LedgerDesk, shop), accounts, (), now=clock, **more)
    return made, shop.store, clock


def account(key: str, **more: Any) -> Account:
    return Account(
        key, key, more.pop("ceiling_nano", 1000), more.pop("ceiling_tokens", None), **more
    )


def purse(key: str, label: str = "", **figures: Any) -> Purse:
    return Purse(key, label, key, **figures)


def test_what_was_learned_is_read_once_a_second_not_once_a_call() -> None:
    made, shelf, clock = runtime()
    assert [made.learned("m") for _ in range(100)] == [None] * 100
    assert shelf.reads == ["m"]
    shelf.known["m"] = Learned("m", calls=1)
    clock.boot += SECOND - 1
    assert made.learned("m") is None
    clock.boot += 1
    assert made.learned("m") == Learned("m", calls=1)
    assert made.learned("other") is None
    assert shelf.reads == ["m", "m", "other"]


def test_thousands_of_names_are_not_kept() -> None:
    made, shelf, _ = runtime()
    for at in range(1000):
        made.learned(str(at))
    assert len(made._learned._known) < 300
    assert len(shelf.reads) == 1000


def test_share_is_the_largest_of_all_budgets_in_money_or_tokens_without_what_is_reserved() -> None:
    leaf, root = account("leaf"), account("root", ceiling_nano=None, ceiling_tokens=100)
    made, shelf, clock = runtime(leaf, root)
    assert made.spent_share() == 0.0
    shelf.put(leaf, purse("leaf", spent_nano=200, unconfirmed_nano=100, reserved_nano=700))
    shelf.put(root, purse("root", spent_nano=10**6, spent_tokens=40, reserved_tokens=60))
    clock.boot += SECOND // 2
    assert made.spent_share() == pytest.approx(0.4)
    shelf.put(leaf, purse("leaf", spent_nano=500))
    reads = len(shelf.reads)
    clock.boot += SECOND // 2 - 1
    assert made.spent_share() == pytest.approx(0.4)
    assert len(shelf.reads) == reads
    clock.boot += 1
    assert made.spent_share() == pytest.approx(0.5)


def test_share_follows_the_ceiling_that_the_ledger_applied() -> None:
    made, shelf, _ = runtime(account("leaf", ceiling_nano=1000))
    shelf.put(account("leaf", ceiling_nano=2000), purse("leaf", spent_nano=500))
    assert made.spent_share() == pytest.approx(0.25)


def test_nothing_is_left_of_a_ceiling_of_0() -> None:
    made, shelf, _ = runtime(account("leaf", ceiling_nano=0))
    shelf.put(account("leaf", ceiling_nano=0), purse("leaf"))
    assert made.spent_share() == 1.0


def test_share_of_a_budget_a_run_is_of_the_run_that_asks() -> None:
    each_run = account("leaf", window="run")
    made, shelf, _ = runtime(each_run)
    shelf.put(
        each_run,
        purse("leaf", "run:b", spent_nano=900),
        purse("leaf", "run:a", spent_nano=100),
    )
    assert made.spent_share("a") == pytest.approx(0.1)
    assert made.spent_share("b") == pytest.approx(0.9)
    assert made.spent_share() == pytest.approx(0.9)


def test_desk_is_told_once_to_cut_the_connections_of_however_many_runs() -> None:
    made, _, _ = runtime(account("leaf"))
    for at in range(5):
        made.narrowed(account=account(f"run-{at}"))
    assert len(cast(Any, made.desk).cuts) == 1


def test_governor_narrowed_to_a_run_keeps_every_policy() -> None:
    policy = {
        "queue_timeout_seconds": 7.0,
        "observe": True,
        "pause_seconds": 60.0,
        "fallback_share": 0.8,
        "bypass": "warn",
        "output_floor_tokens": 200,
        "fit": False,
        "off": "enforcement is off",
    }
    made, _, _ = runtime(account("leaf"), **policy)
    run = made.narrowed(account=account("run"))
    for name in (each.name for each in fields(Runtime) if not each.name.startswith("_")):
        if name not in ("accounts_", "limits_", "prices"):
            assert getattr(run, name) == getattr(made, name), name
    assert {name: getattr(run, name) for name in policy} == policy
    assert [each.key for each in run.accounts_] == ["run", "leaf"]
