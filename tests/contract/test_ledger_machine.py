"""Any course of admissions, resolves, deaths, edits, midnights and crashes, against plain sums."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from prefect_governor.blocks.ledger.admission import Reservation
from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.records import (
    Account,
    Attribution,
    Bound,
    Demand,
    LimitTerms,
    Rate,
    Usage,
)
from tests.contract.conftest import SECOND, Clock, StoreFactory

OWNERS = ("one", "two", "three")
CHAINS = (("leaf", "root"), ("root",))
LIMITS: tuple[tuple[str, ...], ...] = ((), ("a",), ("a", "b"))
DAY = 86_400
sizes = st.integers(0, 400)
picks = st.integers(0, 10**6)


class Crashed(Exception):
    """The process died before its transaction was over."""


@dataclass
class Call:
    """A call as the test has it."""

    owner: str
    days: dict[str, str]
    limits: tuple[str, ...]
    bound: int
    state: str = "reserved"
    spent: int = 0
    resolves: int = 0


@dataclass
class Model:
    """All that a ledger must come to, from a list of calls."""

    calls: dict[str, Call] = field(default_factory=dict)
    ceilings: dict[str, int] = field(default_factory=lambda: {"leaf": 700, "root": 1000})
    caps: dict[str, int] = field(default_factory=lambda: {"a": 3, "b": 2})
    version: int = 1
    # From when on a ceiling or cap may be exceeded: a bill above its bound, or a lowering.
    loose: set[str] = field(default_factory=set)
    latest: dict[str, str] = field(default_factory=dict)

    def sums(self, account: str, day: str) -> tuple[int, int, int]:
        mine = [c for c in self.calls.values() if c.days.get(account) == day]
        return (
            sum(c.spent for c in mine if c.state == "spent"),
            sum(c.bound for c in mine if c.state == "unconfirmed"),
            sum(c.bound for c in mine if c.state == "reserved"),
        )

    def in_flight(self, limit: str) -> int:
        return sum(limit in c.limits for c in self.calls.values() if c.state == "reserved")


class LedgerMachine(RuleBasedStateMachine):
    """Subclassed with a store's factory."""

    factory: StoreFactory

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.store = self.factory(self.folder, self.clock)
        self.model = Model()
        self.apply_budgets()
        for limit in self.model.caps:
            self.apply_cap(limit)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def do(self, work: Callable[[Batch], Any], owner: str = "one") -> Any:
        with self.store.transaction() as rows:
            batch = Batch(rows, owner)
            result = work(batch)
            batch.write()
        return result

    def pick(self, number: int) -> tuple[str, Call]:
        return sorted(self.model.calls.items())[number % len(self.model.calls)]

    def some_calls(self) -> bool:
        return bool(self.model.calls)

    # What happens

    def apply_budgets(self) -> None:
        version = f"{self.model.version:06}"
        accounts = [
            Account(key, key, ceiling, None, "day", version=version)
            for key, ceiling in self.model.ceilings.items()
        ]
        assert all(self.do(lambda batch: [batch.register(each) for each in accounts]))

    def apply_cap(self, limit: str) -> None:
        rates = (Rate("tokens", 10**9), Rate("requests", 10**9))
        terms = LimitTerms(limit, limit, self.model.caps[limit], rates)
        self.do(lambda batch: batch.define(terms))

    def ask(
        self, batch: Batch, owner: str, chain: tuple[str, ...], limits: tuple[str, ...], size: int
    ) -> None:
        model = self.model
        day = self.today()
        latest = {key: max(day, model.latest.get(key, "")) for key in chain}
        call_id = f"{len(model.calls):04}"
        bound = Bound(size, size, 0)
        who = Attribution(label=latest["root"])
        decision = batch.admit(Demand(call_id, chain, limits, bound, who))
        money = all(
            sum(model.sums(key, latest[key])) + size <= model.ceilings[key] for key in chain
        )
        slots = all(model.in_flight(key) < model.caps[key] for key in limits)
        assert isinstance(decision, Reservation) == (money and slots), decision
        if isinstance(decision, Reservation):
            assert dict(decision.purses) == latest
            model.latest.update(latest)
            model.calls[call_id] = Call(owner, latest, limits, size)

    def end(self, batch: Batch, how: str, number: int, size: int) -> None:
        call_id, call = self.pick(number)
        before = call.state
        if how == "unconfirm":
            done = batch.unconfirm(call_id, "cut off")
            expected = before == "reserved"
        else:
            expected = before in ("reserved", "unconfirmed")
            if how == "settle":
                done = batch.settle(call_id, Usage(size, size, 0))
            else:
                done = batch.void(call_id, "400")
        assert done == expected
        if done:
            call.state = {"settle": "spent", "void": "released"}.get(how, "unconfirmed")
            call.resolves += call.state != "unconfirmed"
            call.spent = size if how == "settle" else 0
            if how == "settle" and size > call.bound:
                self.model.loose |= set(call.days)

    def today(self) -> str:
        days = (self.clock.wall // SECOND - 1_795_514_400) // DAY
        return f"2026-11-{24 + days:02}"

    # Rules

    @rule(
        owner=st.sampled_from(OWNERS),
        chain=st.sampled_from(CHAINS),
        limits=st.sampled_from(LIMITS),
        size=sizes,
    )
    def admit(self, owner: str, chain: tuple[str, ...], limits: tuple[str, ...], size: int) -> None:
        self.do(lambda batch: self.ask(batch, owner, chain, limits, size), owner)

    @precondition(some_calls)
    @rule(how=st.sampled_from(["settle", "void", "unconfirm"]), number=picks, part=st.floats(0, 1))
    def resolve(self, how: str, number: int, part: float) -> None:
        size = int(self.pick(number)[1].bound * part)
        self.do(lambda batch: self.end(batch, how, number, size))

    @precondition(some_calls)
    @rule(number=picks, extra=st.integers(1, 50))
    def settle_above_the_bound(self, number: int, extra: int) -> None:
        size = self.pick(number)[1].bound + extra
        self.do(lambda batch: self.end(batch, "settle", number, size))

    @precondition(some_calls)
    @rule(moves=st.lists(st.tuples(st.sampled_from(["settle", "void", "unconfirm", "admit"]),
                                   picks, sizes), min_size=2, max_size=6))  # fmt: skip
    def several_in_one_transaction(self, moves: list[tuple[str, int, int]]) -> None:
        def work(batch: Batch) -> None:
            for how, number, size in moves:
                if how == "admit":
                    self.ask(batch, "two", CHAINS[number % 2], LIMITS[number % 3], size)
                else:
                    self.end(batch, how, number, min(size, self.pick(number)[1].bound))

        self.do(work, "two")

    @rule(size=sizes, number=picks)
    def crash_in_a_transaction(self, size: int, number: int) -> None:
        def work(batch: Batch) -> None:
            batch.admit(Demand("never", CHAINS[0], LIMITS[2], Bound(size, size, 0)))
            if self.model.calls:
                batch.settle(self.pick(number)[0], Usage(size, 0, 0))
            batch.expire("one", "its process died")
            batch.write()
            raise Crashed

        with pytest.raises(Crashed):
            self.do(work)

    @rule(owner=st.sampled_from(OWNERS))
    def an_owner_dies(self, owner: str) -> None:
        open_calls = [
            call
            for call in self.model.calls.values()
            if call.owner == owner and call.state == "reserved"
        ]
        assert self.do(lambda batch: batch.expire(owner, "its process died")) == len(open_calls)
        for call in open_calls:
            call.state = "unconfirmed"

    @rule(key=st.sampled_from(["leaf", "root"]), ceiling=st.integers(0, 2000))
    def the_ceiling_is_edited(self, key: str, ceiling: int) -> None:
        if ceiling < self.model.ceilings[key]:
            self.model.loose.add(key)
        self.model.ceilings[key] = ceiling
        self.model.version += 1
        self.apply_budgets()

    @rule(key=st.sampled_from(["leaf", "root"]), back=st.integers(0, 3))
    def an_older_document_comes_late(self, key: str, back: int) -> None:
        version = f"{max(0, self.model.version - back):06}"
        account = Account(key, key, 10**6, None, "day", version=version)
        assert not self.do(lambda batch: batch.register(account))

    @rule(key=st.sampled_from(["a", "b"]), cap=st.integers(0, 4))
    def the_cap_is_edited(self, key: str, cap: int) -> None:
        if cap < self.model.caps[key]:
            self.model.loose.add(key)
        self.model.caps[key] = cap
        self.apply_cap(key)

    @precondition(lambda self: self.clock.wall // SECOND < 1_795_514_400 + 5 * DAY)
    @rule()
    def midnight(self) -> None:
        self.clock.pass_(DAY)

    @precondition(lambda self: self.clock.wall // SECOND >= 1_795_514_400 + DAY)
    @rule()
    def the_wall_clock_is_set_back(self) -> None:
        self.clock.wall -= DAY * SECOND

    # What must hold

    @invariant()
    def every_figure_is_the_sum_of_its_calls(self) -> None:
        if not hasattr(self, "store"):
            return
        model = self.model
        days = {day for call in model.calls.values() for day in call.days.values()}
        of_rows = self.store.read_spend("label", {})
        for key in model.ceilings:
            for day in days:
                known = self.store.read_purse(key, day)
                assert known is not None
                purse = known[1]
                sums = (purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano)
                assert sums == model.sums(key, day)
                assert sums == (
                    purse.spent_tokens, purse.unconfirmed_tokens, purse.reserved_tokens
                )  # fmt: skip
                if key not in model.loose:
                    assert purse.ceiling_nano is not None and sum(sums) <= purse.ceiling_nano
                if key == "root" and any(sums):
                    row = of_rows[day]
                    assert (row.spent_nano, row.unconfirmed_nano, row.reserved_nano) == sums

    @invariant()
    def a_limit_counts_what_is_in_flight_under_it(self) -> None:
        if not hasattr(self, "store"):
            return
        for key, cap in self.model.caps.items():
            gate = self.store.read_gate(key)
            assert gate is not None
            assert gate.in_flight == self.model.in_flight(key)
            if key not in self.model.loose:
                assert gate.in_flight <= cap

    @invariant()
    def a_call_is_resolved_once(self) -> None:
        if hasattr(self, "model"):
            assert all(call.resolves <= 1 for call in self.model.calls.values())


def test_any_course_of_things_leaves_every_sum_right(factory: StoreFactory) -> None:
    machine = type("Machine", (LedgerMachine,), {"factory": staticmethod(factory)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
