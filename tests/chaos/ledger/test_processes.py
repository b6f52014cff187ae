"""Several processes at one ledger: killed at any moment, woken at once."""

import os
import random
import struct
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.calls import Admission, Usage
from tests.chaos.ledger.desks import BOUND, demand, in_threads, open_desk, set_up
from tests.chaos.processes import FORKS, ended_well, fork, kill

pytestmark = FORKS

CAP = 5
THREADS = 4
WORKERS = 3
RECORD = struct.Struct("<qqq")


# Hammering


def hammer(folder: Path, name: str, seed: int) -> None:
    """One process: threads that call until the money is gone, each keeping a log of its calls.

    A call's record is its start, its end (0 while it is open) and its bill; written around the
    stretch in which a provider would see it, by plain writes that outlive a SIGKILL.
    """
    desk = open_desk(folder)
    errors: list[BaseException] = []

    def call_on_and_on(number: int) -> None:
        chance = random.Random(f"{seed} {name} {number}")
        log = os.open(folder / f"{name}-{number}.log", os.O_CREAT | os.O_RDWR)
        for each in range(10**9):
            call_id = f"{name}-{number}-{each}"
            try:
                desk.admit(demand(call_id, name)).result(60)
            except OverBudget:
                return
            began = time.monotonic_ns()
            os.pwrite(log, RECORD.pack(began, 0, 0), each * RECORD.size)
            time.sleep(chance.uniform(0, 0.004))
            bill = chance.randint(20, BOUND.nano)
            os.pwrite(log, RECORD.pack(began, time.monotonic_ns(), bill), each * RECORD.size)
            if chance.random() < 0.02:
                desk.unconfirm(call_id, "cut off").result(60)
            else:
                desk.settle(call_id, Usage(bill, 5, 5)).result(60)

    def guarded(number: int) -> None:
        try:
            call_on_and_on(number)
        except BaseException as error:
            errors.append(error)

    in_threads(guarded, THREADS)
    desk.close()
    if errors:
        raise errors[0]


@dataclass
class Judge:
    """Reads the ledger all the while, and the logs in the end."""

    folder: Path
    ceiling: int
    killed_at: dict[str, int] = field(default_factory=dict)
    reads: int = 0

    def __post_init__(self) -> None:
        self.store = SQLiteStore(self.folder / "ledger.db")

    def look(self) -> int:
        """Check the figures of this instant; returns what is gone of the ceiling."""
        self.reads += 1
        totals = []
        for key in ("root", "leaf"):
            known = self.store.read_purse(key)
            assert known is not None
            purse = known[1]
            total = purse.spent_nano + purse.unconfirmed_nano + purse.reserved_nano
            assert total <= self.ceiling, purse
            totals.append(total)
        gate = self.store.read_gate("llm")
        assert gate is not None and gate.in_flight <= gate.max_in_flight <= CAP
        return totals[0]

    def reserved(self, name: str) -> int:
        spend = self.store.read_spend("user", {"user": name}).get(name)
        return 0 if spend is None else spend.reserved_nano

    def calls(self) -> list[tuple[int, int, int]]:
        found = []
        for log in self.folder.glob("*.log"):
            died = self.killed_at.get(log.stem.split("-")[0], 0)
            for began, ended, bill in RECORD.iter_unpack(log.read_bytes()):
                found.append((began, ended or died, bill))
        return found


def overlap(calls: list[tuple[int, int, int]]) -> int:
    """The most calls that were ever open at once."""
    edges = sorted(
        [(ended, -1) for _, ended, _ in calls] + [(began, 1) for began, ended, _ in calls]
    )
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def run_chaos(folder: Path, *, kills: int, bounds: int, seed: int) -> None:
    chance = random.Random(seed)
    ceiling = bounds * BOUND.nano
    set_up(folder, ceiling=ceiling, cap=CAP)
    # The parent is at the ledger too, with a desk of its own, before anything is forked.
    parent = open_desk(folder)
    parent.admit(demand("the parent's")).result(30)
    judge = Judge(folder, ceiling)
    owner = parent.process
    assert isinstance(owner, Owner)
    seeds = iter(range(seed, seed + 1000))
    workers: dict[str, int] = {}

    def start() -> None:
        name = f"w{len(judge.killed_at) + len(workers)}"

        def child() -> None:
            owner.forget()
            hammer(folder, name, next(seeds))

        workers[name] = fork(child)

    for _ in range(WORKERS):
        start()
    recoveries, stranded = [], 0
    for number in range(kills):
        goal = ceiling * (number + 1) // (kills + 2)
        deadline = time.monotonic() + 60
        while judge.look() < goal:
            assert time.monotonic() < deadline, "nothing moves"
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
        victim = chance.choice(sorted(workers))
        while not judge.reserved(victim):
            assert time.monotonic() < deadline, "it holds nothing"
        judge.killed_at[victim] = kill(workers.pop(victim))
        died, held = time.monotonic(), judge.reserved(victim)
        stranded += held
        start()
        while judge.reserved(victim):
            judge.look()
            assert time.monotonic() - died < 30, "the dead still hold slots"
            time.sleep(0.01)
        if held:
            recoveries.append(time.monotonic() - died)
    # What it holds is waited for by whoever needs the last of the money.
    parent.settle("the parent's", Usage(1, 1, 1)).result(30)
    for name, pid in sorted(workers.items()):
        assert ended_well(pid), f"{name} failed or hung"
    judge.look()
    known, gate = judge.store.read_purse("root"), judge.store.read_gate("llm")
    assert known is not None and gate is not None
    purse, calls = known[1], judge.calls()
    bill = sum(each[2] for each in calls)
    print(
        f"\nseed {seed}: {len(calls)} calls, {kills} kills, {stranded // BOUND.nano} calls cut off,"
        f" recovered in at most {max(recoveries, default=0):.1f} s; {judge.reads} reads;"
        f" spent {purse.spent_nano}, unconfirmed {purse.unconfirmed_nano}, bill {bill},"
        f" ceiling {ceiling}"
    )
    assert stranded > 0, "no kill hit a call in flight: nothing was tested"
    assert purse.unconfirmed_nano >= stranded
    assert overlap(calls) <= CAP
    assert gate.max_in_flight == CAP, "the cap was never reached: nothing was tested"
    assert (gate.in_flight, purse.reserved_nano) == (0, 0)
    assert bill <= purse.spent_nano + purse.unconfirmed_nano <= ceiling
    # Not stranded: what is left is less than a call's bound.
    assert purse.spent_nano + purse.unconfirmed_nano > ceiling - 2 * BOUND.nano
    parent.close()
    judge.store.close()


def test_killed_processes_exceed_neither_cap_nor_ceiling_and_leak_nothing(tmp_path: Path) -> None:
    run_chaos(tmp_path, kills=2, bounds=2500, seed=20_261_124)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(5))
def test_many_killed_processes_exceed_neither_cap_nor_ceiling(tmp_path: Path, seed: int) -> None:
    run_chaos(tmp_path, kills=10, bounds=20_000, seed=seed)


# Waking


def stamp(future: "Future[Admission]") -> list[int]:
    """Where the instant will stand at which the future is done."""
    at: list[int] = []
    future.add_done_callback(lambda _: at.append(time.monotonic_ns()))
    return at


def test_a_waiter_in_one_process_gets_the_slot_that_another_gives_back_at_once(
    tmp_path: Path,
) -> None:
    set_up(tmp_path, ceiling=None, cap=1)
    go_read, go_write = os.pipe()
    told_read, told_write = os.pipe()
    rounds = 15

    def other() -> None:
        desk = open_desk(tmp_path)
        for number in range(rounds):
            desk.admit(demand(f"other {number}")).result(30)
            os.write(told_write, b"+" * 8)
            os.read(go_read, 1)
            # Taken before the settle is durable: the figure holds the commit as well.
            settled = time.monotonic_ns()
            desk.settle(f"other {number}", Usage(1, 1, 1)).result(30)
            os.write(told_write, settled.to_bytes(8, "little"))
            os.read(go_read, 1)
        desk.close()

    pid = fork(other)
    desk = open_desk(tmp_path)
    took = []
    for number in range(rounds):
        os.read(told_read, 8)
        waiting = desk.admit(demand(f"mine {number}"))
        admitted = stamp(waiting)
        while desk.stats(None).waiting_for is None:
            time.sleep(0.001)
        assert not waiting.done()
        os.write(go_write, b".")
        waiting.result(30)
        settled = int.from_bytes(os.read(told_read, 8), "little")
        took.append((admitted[0] - settled) / 1e9)
        desk.settle(f"mine {number}", Usage(1, 1, 1)).result(30)
        os.write(go_write, b".")
    assert ended_well(pid)
    desk.close()
    print(
        f"\nwoken after {sorted(took)[len(took) // 2] * 1e3:.1f} ms, at most {max(took) * 1e3:.1f}"
    )
    assert sorted(took)[len(took) // 2] < 0.05
