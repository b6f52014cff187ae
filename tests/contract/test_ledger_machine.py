"""Any course of admissions, resolves, deaths, edits, allocations, midnights and crashes, against
plain sums: over the decisions alone, and over every store."""

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

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.admission import Refused, Reservation, Wait
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from prefect_governor.blocks.records.notices import Audit
from tests.contract.conftest import FACTORIES, SECOND, Clock, StoreFactory
from tests.contract.memory import MemoryStore

OWNERS = ("one", "two", "three")
CHAINS = (("leaf", "root"), ("root",))
LIMITS: tuple[tuple[str, ...], ...] = ((), ("a",), ("a", "b"))
DAY = 86_400
# Allocations: of a chain, whether it is elastic, and the one that it is set aside in, if any.
SHARDS: dict[str, tuple[tuple[str, ...], bool, str | None]] = {
    "alloc/a": (("leaf", "root"), True, None),
    "alloc/b": (("leaf", "root"), True, None),
    "alloc/c": (("root",), True, None),
    "alloc/synthesis": (("leaf", "root"), False, None),
    "alloc/inner": (("leaf", "root"), False, "alloc/synthesis"),
}
steps = {"all": 0}
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
    resolves_by_hand: int = 0


@dataclass
class Shard:
    """An allocation as the test has it. The ceiling of an elastic one is read off the ledger."""

    within: tuple[tuple[str, str], ...]
    ceiling: int
    elastic: bool
    owner: str
    closed: bool = False


@dataclass
class Model:
    """All that a ledger must come to, from a list of calls."""

    calls: dict[str, Call] = field(default_factory=dict)
    ceilings: dict[str, int] = field(default_factory=lambda: {"leaf": 700, "root": 1000})
    caps: dict[str, int] = field(default_factory=lambda: {"a": 3, "b": 2})
    version: int = 1
    # What may be exceeded just now: by a bill above its bound, or by a lowering.
    loose: set[str] = field(default_factory=set)
    latest: dict[str, str] = field(default_factory=dict)
    shards: dict[str, Shard] = field(default_factory=dict)

    def rest(self, key: str) -> int:
        shard = self.shards[key]
        gone = sum(self.sums(key, "total")) + self.held(key, "total")
        return 0 if shard.closed else max(0, shard.ceiling - gone)

    def held(self, account: str, day: str, *, but: tuple[str, ...] = ()) -> int:
        """What is set aside in a purse, but for some."""
        return sum(
            self.rest(key)
            for key, shard in self.shards.items()
            if key not in but and (account, day) in shard.within
        )

    def own(self, key: str) -> tuple[str, ...]:
        """The allocations whose rests are a call's own."""
        outer = tuple(each for each, _ in self.shards[key].within if each in self.shards)
        siblings = tuple(
            each
            for each, shard in self.shards.items()
            if self.shards[key].elastic and shard.elastic
        )
        return tuple(dict.fromkeys((key, *outer, *siblings)))

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

    @initialize(
        first=st.lists(
            st.tuples(st.sampled_from([*SHARDS]), st.integers(0, 350)),
            max_size=6,
        )
    )
    def open(self, first: list[tuple[str, int]]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.store = self.factory(self.folder, self.clock)
        self.model = Model()
        self.apply_budgets()
        for limit in self.model.caps:
            self.apply_cap(limit)
        for key, size in first:
            self.allocate_now(key, size, "one")

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def do(self, work: Callable[[Batch], Any], owner: str = "one") -> Any:
        steps["all"] += 1
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
        terms = LimitRecord(limit, limit, self.model.caps[limit], rates)
        self.do(lambda batch: batch.define(terms))

    def ask(
        self, batch: Batch, owner: str, chain: tuple[str, ...], limits: tuple[str, ...], size: int
    ) -> None:
        model = self.model
        day = self.today()
        latest = {key: max(day, model.latest.get(key, "")) for key in chain}
        own: tuple[str, ...] = ()
        if chain[0] in model.shards:
            shard = model.shards[chain[0]]
            latest = {chain[0]: "total", **dict(shard.within)}
            own = model.own(chain[0])
        call_id = f"{len(model.calls):04}"
        bound = Bound(size, size, 0)
        who = Attribution(label=latest["root"])
        decision = batch.admit(Demand(call_id, chain, limits, bound, who))
        if chain[0] in model.shards and model.shards[chain[0]].closed:
            assert isinstance(decision, Refused) and "given back" in decision.why
            return
        judged = [
            key for key in latest
            if key not in model.shards or key != chain[0] or not model.shards[key].elastic
        ]  # fmt: skip
        lacks = over = False
        for key in judged:
            ceiling = model.shards[key].ceiling if key in model.shards else model.ceilings[key]
            spent, unconfirmed, reserved = model.sums(key, latest[key])
            gone = spent + unconfirmed + model.held(key, latest[key], but=own) + size
            over |= gone > ceiling
            lacks |= gone + reserved > ceiling
        slots = all(model.in_flight(key) < model.caps[key] for key in limits)
        # Over budget if and only if what is gone, what others have aside and the bound exceed it.
        assert isinstance(decision, Refused) == over, decision
        assert isinstance(decision, Reservation) == (not lacks and slots), decision
        if isinstance(decision, Wait) and slots:
            assert "held by reservations" in decision.why
        if isinstance(decision, Reservation):
            assert dict(decision.purses) == latest
            for key in model.ceilings.keys() & latest.keys():
                model.latest[key] = max(latest[key], model.latest.get(key, ""))
            model.calls[call_id] = Call(owner, latest, limits, size)
            self.learn_ceilings(batch)

    def learn_ceilings(self, batch: Batch) -> None:
        """Elastic allocations have drawn on what is free and on each other; fixed ones have not."""
        for key, shard in self.model.shards.items():
            purse = batch.book.purses.get((key, "total"))
            if purse is not None:
                assert purse.ceiling_nano is not None
                assert shard.elastic or purse.ceiling_nano == shard.ceiling
                shard.ceiling = purse.ceiling_nano

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

    @rule(
        key=st.sampled_from(sorted(SHARDS)),
        size=st.integers(0, 600),
        owner=st.sampled_from(OWNERS),
    )
    def allocate(self, key: str, size: int, owner: str) -> None:
        self.allocate_now(key, size, owner)

    def allocate_now(self, key: str, size: int, owner: str) -> None:
        model = self.model
        chain, elastic, outer = SHARDS[key]
        if outer is not None and (outer not in model.shards or model.shards[outer].closed):
            return
        day = self.today()
        within = tuple((each, max(day, model.latest.get(each, ""))) for each in chain)
        if outer is not None:
            within = ((outer, "total"), *model.shards[outer].within)
        known = model.shards.get(key)
        asked = Allocation(
            key, key, ((outer, ""), *within[1:]) if outer else within, "run", elastic, owner
        )
        if known is not None and not known.closed:
            self.do(lambda batch: batch.allocate(asked, key, Bound(size, 0, 0)), owner)
            known.owner = owner
            return
        if known is not None and (any(model.sums(key, "total")[1:]) or model.held(key, "total")):
            # What may come back to it is held in the windows that it had.
            within = known.within
        rest = max(0, size - sum(model.sums(key, "total")) - model.held(key, "total"))
        fits = True
        for at, label in within:
            ceiling = model.shards[at].ceiling if at in model.shards else model.ceilings[at]
            free = ceiling - sum(model.sums(at, label)) - model.held(at, label)
            if outer is not None and at != outer:
                # The outer one pays, and has its money already.
                continue
            fits &= rest <= max(0, free)
        try:
            self.do(lambda batch: batch.allocate(asked, key, Bound(size, 0, 0)), owner)
        except OverBudget as error:
            assert not fits, error
        else:
            assert fits
            model.shards[key] = Shard(within, size, elastic, owner)

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
