"""Items are begun as memory allows, in order, and never held back for good."""

from concurrent.futures import Future
from typing import Any

from prefect_governor.blocks.limits.derived import MIB, Memory
from prefect_governor.blocks.limits.items import STUCK_SECONDS, Starts


class Machine:
    """A process whose items hold so much each, in a container of a GiB."""

    def __init__(self, held_mib: int) -> None:
        self.held = held_mib * MIB
        self.now = 0.0
        self.starts = Starts(self.look, clock=lambda: self.now)
        self.begun: list[int] = []
        self.outcomes: list[Future[Any]] = []
        self.peak = 0

    def look(self) -> tuple[Memory, int]:
        resident = 300 * MIB + self.starts.under_way * self.held
        self.peak = max(self.peak, resident)
        return Memory(1024 * MIB, resident, "cgroup v1"), resident

    def submit(self, items: int) -> None:
        for _ in range(items):
            outcome: Future[Any] = Future()
            number = len(self.outcomes)
            self.outcomes.append(outcome)
            self.starts.begin(lambda number=number: self.begun.append(number), outcome)  # type: ignore[misc]

    def end(self, number: int) -> None:
        self.now += 0.2
        self.outcomes[number].set_result(None)


def test_items_of_50_mib_in_a_gib_are_all_run_and_never_outgrow_it() -> None:
    machine = Machine(50)
    machine.submit(200)
    most = 0
    for number in range(200):
        most = max(most, machine.starts.under_way)
        assert number in machine.begun
        machine.end(number)
    assert machine.begun == list(range(200))
    assert 8 <= most <= 13
    assert machine.peak <= 1024 * MIB
    figures = machine.starts.figures()
    assert figures.held_seconds > 0
    assert figures.waiting_for is None


def test_who_waits_is_told_the_sum() -> None:
    machine = Machine(50)
    machine.submit(100)
    machine.end(0)
    waiting = machine.starts.figures().waiting_for
    assert waiting is not None
    assert "memory" in waiting
    assert "of 1,024 MiB free (cgroup v1)" in waiting
    assert "50 MiB each" in waiting


def test_one_that_was_cancelled_before_is_never_begun() -> None:
    machine = Machine(500)
    machine.submit(3)
    assert machine.begun == [0, 1]
    machine.outcomes[2].cancel()
    machine.end(0)
    machine.end(1)
    assert machine.begun == [0, 1]
    assert machine.starts.under_way == 0


def test_an_item_that_waits_for_one_behind_it_is_not_held_for_good() -> None:
    machine = Machine(500)
    machine.submit(3)
    assert 2 not in machine.begun
    machine.now += STUCK_SECONDS + 1
    machine.submit(0)
    machine.starts._again()
    assert 2 in machine.begun


def test_where_nothing_tells_of_memory_all_begin() -> None:
    starts = Starts(lambda: None)
    begun: list[int] = []
    for number in range(300):
        starts.begin(lambda number=number: begun.append(number), Future())  # type: ignore[misc]
    assert len(begun) == 300
    assert starts.figures().held_seconds == 0
