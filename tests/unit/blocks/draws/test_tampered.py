"""What a person may do to a machine's ledger or to the counter, and what is billed all the same."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.draws.counter import CounterLost
from prefect_governor.blocks.records.calls import Usage
from tests.unit.blocks.draws.server import FakeServer
from tests.unit.blocks.draws.test_machines import Machine
from tests.unit.clocks import Clock

CEILING = 1000
Born = Callable[[str], Machine]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def born(tmp_path: Path, server: FakeServer, clock: Clock) -> Iterator[Born]:
    made: list[Machine] = []

    def machine(name: str) -> Machine:
        made.append(Machine(tmp_path / name, server, clock))
        made[-1].define(CEILING, "0000")
        return made[-1]

    yield machine
    for each in made:
        each.desk.store.close()


def spent(machine: Machine, call_id: str, size: int) -> int:
    """What a call of this size is billed: nothing where the machine does not let it go."""
    machine.ask(call_id, size)
    for _ in range(3):
        try:
            machine.drawer.tick()
        except CounterLost as error:
            lost.append(str(error))
        machine.desk.run_once()
    admitted = machine.calls[-1][1]
    if not admitted.done() or admitted.exception() is not None:
        return 0
    machine.desk.settle(call_id, Usage(size, 0, 0))
    machine.desk.run_once()
    return size


lost: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_lost() -> None:
    lost.clear()


def test_a_ledger_of_before_it_was_drawn_spends_nothing_twice(born: Born, tmp_path: Path) -> None:
    machine = born("a")
    assert spent(machine, "1", 100) == 100
    machine.desk.store.close()
    shutil.copytree(tmp_path / "a", tmp_path / "older")
    machine.born()
    assert spent(machine, "2", 500) == 500
    machine.desk.store.close()
    shutil.rmtree(tmp_path / "a")
    shutil.copytree(tmp_path / "older", tmp_path / "a")
    machine.born()
    assert spent(machine, "3", 800) == 0
    assert "one of before that was drawn" in lost[0]


def test_a_copy_of_a_machine_spends_nothing_of_what_the_first_drew(
    born: Born, tmp_path: Path
) -> None:
    first = born("a")
    first.desk.store.close()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first.born()
    copy = born("b")
    billed = spent(first, "1", 900) + spent(copy, "2", 800)
    assert billed == 900
    assert "a copy of another machine" in lost[0]


def test_a_counter_that_was_set_back_is_drawn_from_no_more(
    born: Born, server: FakeServer, clock: Clock
) -> None:
    first = born("a")
    assert spent(first, "1", 900) == 900
    for name, limit in server.limits.items():
        if name.count(":") == 4:
            limit.active_slots = 0
    clock.pass_(5)
    before = first.figures()[1]
    spent(first, "2", CEILING - before + 1)
    assert first.figures()[1] == before
    assert "somebody lowered its active slots" in lost[0]
