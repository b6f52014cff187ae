"""Machines that share a counter and nothing else, in any order of calls, draws, lost replies,
deaths and edits: what they have spent or hold is never more than was drawn, nor that than the
ceiling."""

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from prefect_governor.blocks.draws.counter import Counter
from prefect_governor.blocks.draws.counters import Counters
from prefect_governor.blocks.draws.drawer import Drawer
from prefect_governor.blocks.draws.holding import Holding
from prefect_governor.blocks.draws.store import DrawnStore
from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import PurseKey
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from tests.contract.conftest import FakeProcess, define
from tests.unit.blocks.draws.server import FakeServer
from tests.unit.clocks import Clock

T = TypeVar("T")
KEY: PurseKey = ("team", "total")
NAMES = st.sampled_from(["a", "b", "c"])
FAULTS = st.sampled_from([None, None, "lost request", "lost reply", "late"])
met: dict[str, int] = {"lost": 0, "settled": 0, "refused": 0, "deaths": 0}


class ByHand(LedgerDesk):
    """What is written is done at once; there is no thread."""

    def write(self, work: "Callable[[Batch], T]") -> "Future[T]":
        future = super().write(work)
        self.run_once()
        return future


@dataclass
class Machine:
    """One, with its ledger; its process may die and be born again."""

    folder: Path
    server: Counters
    clock: Clock
    key: PurseKey = KEY
    desk: LedgerDesk = field(init=False)
    drawer: Drawer = field(init=False)
    calls: list[tuple[str, Any, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.born()

    def born(self) -> None:
        store = DrawnStore(self.folder / "ledger.sqlite", now=self.clock)
        self.desk = ByHand(store, FakeProcess("one"), now=self.clock, threaded=False)
        self.drawer = self._drawer(store)

    def _drawer(self, store: DrawnStore) -> Drawer:
        counter = Counter(self.server, self.key, "nano", store.ledger_id[:12])
        return Drawer(Holding(self.desk, self.key, "nano"), counter, now=self.clock)

    def define(self, ceiling: int, version: str) -> None:
        define(self.desk.store, Account(self.key[0], "Team", ceiling, None, version=version))

    def ask(self, call_id: str, size: int) -> None:
        demand = Demand(call_id, (self.key[0],), (), Bound(size, 0, 0), Attribution())
        self.calls.append((call_id, self.desk.admit(demand), size))
        self.desk.run_once()

    def figures(self) -> tuple[int, int]:
        """What is spent or held, and what was drawn."""
        known = self.desk.store.read_purse(*self.key)
        assert known is not None and known[1].drawing is not None
        purse = known[1]
        return purse.gone_nano + purse.reserved_nano, known[1].drawing.nano.granted


class Machines(RuleBasedStateMachine):
    @initialize(ceiling=st.integers(100, 3000))
    def open(self, ceiling: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock, self.server = Clock(), FakeServer()
        self.ceiling, self.highest, self.version = ceiling, ceiling, 0
        self.machines = {
            name: Machine(self.folder / name, self.server, self.clock) for name in ("a", "b", "c")
        }
        self.number = 0
        for each in self.machines.values():
            self.edit(each)

    def teardown(self) -> None:
        if hasattr(self, "machines"):
            for each in self.machines.values():
                each.desk.store.close()
            shutil.rmtree(self.folder)

    def edit(self, machine: Machine) -> None:
        machine.define(self.ceiling, f"{self.version:04}")

    @rule(
        name=NAMES,
        sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4),
        fault=FAULTS,
        part=st.integers(0, 100),
    )
    def call(self, name: str, sizes: list[int], fault: Any, part: int) -> None:
        machine = self.machines[name]
        for size in sizes:
            self.number += 1
            machine.ask(f"{self.number:05}", size)
        self.tick(name, fault)
        self.never_more_than_was_drawn()
        self.tick(name, None)
        for each in list(machine.calls):
            call_id, future, size = each
            if not future.done():
                continue
            machine.calls.remove(each)
            if future.exception() is not None:
                met["refused"] += 1
            else:
                machine.desk.settle(call_id, Usage(size * part // 100, 0, 0))
                machine.desk.run_once()
                met["settled"] += 1

    @rule(name=NAMES, fault=FAULTS)
    def tick(self, name: str, fault: Any) -> None:
        self.server.fault = fault
        try:
            self.machines[name].drawer.tick()
        except ServerAway:
            met["lost"] += 1
        finally:
            self.server.fault = None
            self.machines[name].desk.run_once()

    @rule(name=NAMES, fault=FAULTS)
    def leave(self, name: str, fault: Any) -> None:
        self.server.fault = fault
        try:
            self.machines[name].drawer.close()
        except ServerAway:
            met["lost"] += 1
        finally:
            self.server.fault = None

    @rule()
    def arrive(self) -> None:
        self.server.arrive()

    @rule(seconds=st.sampled_from([0.2, 3.0, 8.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule(name=NAMES)
    def die(self, name: str) -> None:
        machine = self.machines[name]
        machine.desk.store.close()
        machine.calls.clear()
        machine.born()
        met["deaths"] += 1

    @rule(ceiling=st.integers(1, 3000))
    def change_ceiling(self, ceiling: int) -> None:
        self.ceiling, self.version = ceiling, self.version + 1
        self.highest = max(self.highest, ceiling)
        for each in self.machines.values():
            self.edit(each)

    @invariant()
    def never_more_than_was_drawn(self) -> None:
        if not hasattr(self, "machines"):
            return
        held = drawn = 0
        for machine in self.machines.values():
            spent, granted = machine.figures()
            held += spent
            drawn += granted
            assert spent <= granted, "more is held than was drawn"
        counted = sum(
            limit.active_slots or 0
            for name, limit in self.server.limits.items()
            if name.count(":") == 4
        )
        assert drawn <= counted, "more is known as drawn than was counted"
        assert held <= self.highest, "the ceiling is exceeded"


TestMachines = Machines.TestCase
TestMachines.settings = settings(max_examples=20, stateful_step_count=50)


def test_there_was_something_to_see() -> None:
    """After the machine's own test, in the same process."""
    print(f"\n{met}")
    assert min(met.values()) > 0, met
