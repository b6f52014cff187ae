"""Any course of admissions, resolves, deaths, edits, allocations, midnights and crashes, against
plain sums: over the decisions alone, and over every store."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound, Demand, Usage
from prefect_governor.blocks.records.notices import Audit
from tests.contract.acts import DAY, SHARDS, Acts, steps
from tests.contract.conftest import FACTORIES, StoreFactory
from tests.contract.memory import MemoryStore
from tests.unit.clocks import SECOND, Clock

OWNERS = ("one", "two", "three")
CHAINS = (("leaf", "root"), ("root",))
LIMITS: tuple[tuple[str, ...], ...] = ((), ("a",), ("a", "b"))
sizes = st.integers(0, 400)
picks = st.integers(0, 10**6)


class Crashed(Exception):
    """The process died before its transaction was over."""


def some_calls(machine: Acts) -> bool:
    return bool(machine.model.calls)


class LedgerMachine(Acts):
    """What may happen to a ledger, and what must hold after each of it."""

    # Rules

    @rule(
        owner=st.sampled_from(OWNERS),
        chain=st.sampled_from(CHAINS),
        limits=st.sampled_from(LIMITS),
        size=sizes,
    )
    def admit(self, owner: str, chain: tuple[str, ...], limits: tuple[str, ...], size: int) -> None:
        self.do(lambda batch: self.ask(batch, owner, chain, limits, size), owner)

    @rule(
        key=st.sampled_from(sorted(SHARDS)),
        size=st.integers(0, 600),
        owner=st.sampled_from(OWNERS),
    )
    def allocate(self, key: str, size: int, owner: str) -> None:
        self.allocate_now(key, size, owner)

    @rule(key=st.sampled_from(sorted(SHARDS)))
    def give_back(self, key: str) -> None:
        model = self.model
        expected = model.rest(key) if key in model.shards else 0
        assert self.do(lambda batch: batch.give_back(key)) == expected
        if key in model.shards:
            model.shards[key].closed = True

    @precondition(lambda self: bool(self.model.shards))
    @rule(
        owner=st.sampled_from(OWNERS),
        moves=st.lists(st.tuples(picks, sizes, st.booleans()), min_size=1, max_size=6),
    )
    def admit_under_allocations(self, owner: str, moves: list[tuple[int, int, bool]]) -> None:
        def work(batch: Batch) -> None:
            for number, size, limited in moves:
                key = sorted(self.model.shards)[number % len(self.model.shards)]
                limits = LIMITS[1] if limited else LIMITS[0]
                self.ask(batch, owner, (key, "root"), limits, size)

        self.do(work, owner)

    @rule()
    def crash_and_open_again(self) -> None:
        if not isinstance(self.store, MemoryStore):
            self.store.close()
            self.store = self.factory(self.folder, self.clock)

    @precondition(some_calls)
    @rule(how=st.sampled_from(["settle", "void", "unconfirm"]), number=picks, part=st.floats(0, 1))
    def resolve(self, how: str, number: int, part: float) -> None:
        size = int(self.pick(number)[1].bound * part)
        self.do(lambda batch: self.end(batch, how, number, size))

    @precondition(some_calls)
    @rule(number=picks, part=st.none() | st.floats(0, 1))
    def reconcile(self, number: int, part: float | None) -> None:
        call_id, call = self.pick(number)
        size = None if part is None else int(call.bound * part)
        usage = None if size is None else Usage(size, size, 0)
        audit = Audit("settled", call_id, "somebody", "", "usage.csv", "", "", self.clock.wall)
        done = self.do(lambda batch: batch.reconcile(call_id, usage, audit))
        assert done == (call.state == "unconfirmed")
        if done:
            call.state, call.spent = ("released", 0) if size is None else ("spent", size)
            call.resolves += 1
        assert len(self.store.read_audit(call_id)) == call.resolves_by_hand + done
        call.resolves_by_hand += done

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
        for shard in self.model.shards.values():
            shard.closed |= shard.owner == owner

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

    @rule(key=st.sampled_from(["a", "b"]), cap=st.integers(0, 9))
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
        days |= {day for shard in model.shards.values() for _, day in shard.within}
        days.discard("total")
        of_rows = self.store.read_spend("label", {})
        for key in model.ceilings:
            exceeded = False
            for day in days:
                known = self.store.read_purse(key, day)
                assert known is not None
                purse = known[1]
                sums = (purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano)
                assert sums == model.sums(key, day)
                assert purse.allocated_nano == model.held(key, day)
                assert sums == (
                    purse.spent_tokens, purse.unconfirmed_tokens, purse.reserved_tokens
                )  # fmt: skip
                assert purse.ceiling_nano is not None
                here = sum(sums) + purse.allocated_nano > purse.ceiling_nano
                assert not here or key in model.loose
                exceeded |= here
                if key == "root" and any(sums):
                    row = of_rows[day]
                    assert (row.spent_nano, row.unconfirmed_nano, row.reserved_nano) == sums

            if not exceeded:
                # It was lowered or billed too much, and that is over.
                model.loose.discard(key)

    @invariant()
    def an_allocation_is_the_sum_of_its_calls(self) -> None:
        if not hasattr(self, "store"):
            return
        for key in self.model.shards:
            known = self.store.read_purse(key)
            assert known is not None
            purse = known[1]
            sums = (purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano)
            assert sums == self.model.sums(key, "total")
            assert purse.allocated_nano == self.model.held(key, "total")
            assert purse.ceiling_nano == self.model.shards[key].ceiling

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


def run_machine(factory: StoreFactory, *, examples: int) -> int:
    """Returns how many transactions it took."""
    before = steps["all"]
    machine = type("Machine", (LedgerMachine,), {"factory": staticmethod(factory)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return steps["all"] - before


def in_memory(_: Path, clock: Clock) -> Any:
    return MemoryStore(clock)


def test_any_course_of_things_leaves_every_sum_right_by_the_decisions_alone() -> None:
    taken = run_machine(in_memory, examples=120)
    print(f"\n{taken} steps over the decisions alone")
    assert taken >= 2500


def test_any_course_of_things_leaves_every_sum_right(factory: StoreFactory) -> None:
    taken = run_machine(factory, examples=8)
    print(f"\n{taken} steps")
    assert taken >= 150


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["decisions", *FACTORIES])
def test_ten_thousand_steps_of_any_course_leave_every_sum_right(name: str) -> None:
    factory = in_memory if name == "decisions" else FACTORIES[name]
    taken = 0
    while taken < 10_000:
        taken += run_machine(factory, examples=100)
    print(f"\n{taken} steps over {name}")
