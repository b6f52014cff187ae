"""Processes that share a piece of work: a part is one process's, a dead one's is another's."""

import pytest

from prefect_governor.blocks.ledger.decision import chunks
from prefect_governor.blocks.ledger.desk import LOST_SECONDS, SWEEP_SECONDS, LedgerDesk
from tests.contract.conftest import Office
from tests.unit.clocks import Clock

WORK = "run/digest"


def claim(desk: LedgerDesk, *, count: int = 3, attempt: str = "first", most: int = 1) -> int | None:
    """The last of those that it claimed; None where none is free."""
    claimed = desk.write(
        lambda batch: chunks.claim(
            batch.rows, WORK, numbers=range(count), attempt=attempt, owner=batch.owner, most=most
        )
    )
    desk.run_once()
    return next(reversed(claimed.result(0)), None)


def finish(desk: LedgerDesk, number: int) -> bool:
    finished = desk.write(lambda batch: chunks.finish(batch.rows, WORK, number, owner=batch.owner))
    desk.run_once()
    return finished.result(0)


def has_free(desk: LedgerDesk, attempt: str = "first") -> bool:
    found = desk.write(
        lambda batch: chunks.has_free(batch.rows, WORK, numbers=range(3), attempt=attempt)
    )
    desk.run_once()
    return found.result(0)


@pytest.fixture
def other(office: Office) -> LedgerDesk:
    return office.desk("other")


@pytest.fixture
def desk(office: Office) -> LedgerDesk:
    return office.desk("one")


def test_two_processes_never_have_the_same_part(desk: LedgerDesk, other: LedgerDesk) -> None:
    assert [claim(desk), claim(other), claim(desk)] == [
        0,
        1,
        2,
    ]
    assert claim(other) is None and not has_free(other)


def test_what_a_dead_process_had_claimed_is_taken_by_another(
    office: Office, desk: LedgerDesk, other: LedgerDesk, clock: Clock
) -> None:
    assert claim(other, most=3) == 2
    assert finish(other, 1)
    assert claim(desk) is None
    office.graveyard.dead.add("other")
    clock.pass_(SWEEP_SECONDS)
    desk.run_once()
    # What it had done stays done.
    assert [claim(desk), claim(desk), claim(desk)] == [
        0,
        2,
        None,
    ]


def test_a_process_that_stood_still_does_not_finish_what_another_has_taken(
    desk: LedgerDesk, other: LedgerDesk, clock: Clock
) -> None:
    claim(other)
    for _ in range(int(LOST_SECONDS / SWEEP_SECONDS) + 1):
        clock.pass_(SWEEP_SECONDS)
        desk.run_once()
    assert claim(desk) == 0
    assert not finish(other, 0)
    assert finish(desk, 0)


def test_a_run_that_is_gone_on_with_goes_through_all_parts_and_waits_for_the_living(
    desk: LedgerDesk, other: LedgerDesk
) -> None:
    claim(other)
    claim(other)
    assert finish(other, 0)
    # The second part is under way in a process of the earlier attempt.
    assert claim(desk, attempt="second") == 0
    assert claim(desk, attempt="second") == 2
    assert claim(desk, attempt="second") is None and not has_free(desk, "second")
    assert finish(other, 1)
    assert has_free(desk, "second")
    assert claim(desk, attempt="second") == 1
    assert finish(desk, 0) and not has_free(desk, "second")


def test_of_work_that_has_ended_nothing_is_kept(desk: LedgerDesk, other: LedgerDesk) -> None:
    claim(other)
    removed = desk.write(lambda batch: batch.rows.remove_chunks(WORK))
    desk.run_once()
    removed.result(0)
    assert claim(desk) == 0
