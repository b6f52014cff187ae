"""What many processes come to on one ledger is foretold by arithmetic that is right where it can be
done by hand."""

import pytest

from tests.benchmarks.ledger.queueing import GATHER_SECONDS, Costs, Fleet, Line, fitted, predicted

COSTS = Costs(held=Line(0.004, 0.0001), apart=Line(0.001, 0.00005))


def test_one_process_takes_turns_with_nobody() -> None:
    found = predicted(COSTS, Fleet(1, 20))
    # Of its 20 calls each asks in every transaction: half of a pair.
    cycle = (0.004 + 20 * 0.0001) + (0.001 + 20 * 0.00005)
    assert found.pairs_a_second == pytest.approx(10 / cycle, rel=0.01)
    assert found.shared_by == pytest.approx(20)
    assert found.lock == pytest.approx(0.006 / cycle, rel=0.01)
    assert found.fullest == "its ledger threads"
    assert found.p99_seconds == pytest.approx(cycle, rel=0.01)


def test_few_calls_gather_before_they_ask() -> None:
    found = predicted(COSTS, Fleet(1, 2))
    cycle = (0.004 + 2 * 0.0001) + (0.001 + 2 * 0.00005) + GATHER_SECONDS
    assert found.pairs_a_second == pytest.approx(1 / cycle, rel=0.01)


def test_the_lock_is_full_before_the_processes_are() -> None:
    found = predicted(COSTS, Fleet(16, 20))
    assert found.pairs_a_second == pytest.approx(10 / 0.006, rel=0.01)
    assert found.lock == pytest.approx(1, rel=0.01)
    assert found.fullest == "the ledger's lock"
    # Each waits for all others' turns.
    assert found.p99_seconds == pytest.approx(16 * 0.006, rel=0.1)


def test_cores_are_shared_and_the_disk_is_not() -> None:
    heavy = Costs(held=Line(0.002, 0.0), apart=Line(0.010, 0.0))
    alone = predicted(heavy, Fleet(8, 20))
    together = predicted(heavy, Fleet(8, 20, cores=2))
    # 12 ms of work a transaction, on two cores.
    assert together.pairs_a_second == pytest.approx(10 * 2 / 0.012, rel=0.02)
    assert together.fullest == "the machine's cores"
    assert alone.pairs_a_second == pytest.approx(10 / 0.002, rel=0.02)
    waits = Costs(held=Line(0.002, 0.0), apart=Line(0.010, 0.0), working=0.0)
    assert predicted(waits, Fleet(8, 20, cores=2)).pairs_a_second == pytest.approx(
        10 * 2 / 0.010, rel=0.02
    )


def test_calls_that_take_their_time_are_all_admitted_until_the_lock_is_full() -> None:
    few = predicted(COSTS, Fleet(5, 20, call_seconds=1.0), warm_up=5.0)
    wanted = 5 * 20 / 1.0
    assert few.pairs_a_second == pytest.approx(wanted, rel=0.1)
    assert few.fullest == "its calls"
    many = predicted(COSTS, Fleet(500, 20, call_seconds=1.0), seconds=20.0, warm_up=20.0)
    # The batches have grown as large as they can.
    assert many.pairs_a_second < 10 / 0.006 * 1.05
    assert many.fullest == "the ledger's lock"
    slower = Costs(COSTS.held, COSTS.apart, round_trip=0.006)
    far = predicted(slower, Fleet(500, 20, call_seconds=1.0), seconds=20.0, warm_up=20.0)
    assert far.pairs_a_second == pytest.approx(many.pairs_a_second / 2, rel=0.05)


def test_the_same_seed_foretells_the_same() -> None:
    uneven = Costs(COSTS.held, COSTS.apart, spread=(0.5, 1.0, 1.5))
    assert predicted(uneven, Fleet(4, 20)) == predicted(uneven, Fleet(4, 20))
    assert predicted(uneven, Fleet(4, 20), seed=2) != predicted(uneven, Fleet(4, 20))


def test_a_line_is_read_off_what_was_measured_whatever_the_outliers() -> None:
    points = [(size, 0.002 + 0.0003 * size) for size in (1, 8, 40) for _ in range(9)]
    found = fitted([*points, (1, 1.0), (8, 2.0), (40, 0.9)])
    assert found.fixed == pytest.approx(0.002)
    assert found.each == pytest.approx(0.0003)
    assert fitted([(4, 0.003)] * 3).at(4) == pytest.approx(0.003)
    # It never falls, and nothing is for free.
    falling = fitted([(1, 0.004), (40, 0.001)])
    assert falling.each == 0 and falling.fixed > 0
