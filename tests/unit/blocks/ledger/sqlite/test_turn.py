"""A process's turn at a SQLite ledger, where another has it for a while."""

import threading
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.sqlite.turn import Turn


@pytest.fixture(autouse=True)
def others() -> set[threading.Thread]:
    """Those of ledgers that other tests have open."""
    _others.clear()
    _others.update(threading.enumerate())
    return _others


_others: set[threading.Thread] = set()


def lines() -> list[threading.Thread]:
    return [
        each
        for each in threading.enumerate()
        if each.name == "prefect-governor-turn" and each not in _others
    ]


def contend(path: Path, turn: Turn, times: int) -> None:
    """Have `turn` wait for a while, so many times."""
    holder = Turn(path, timeout_seconds=5)
    for _ in range(times):
        holder.take()
        given = threading.Timer(0.02, holder.give)
        given.start()
        turn.take()
        turn.give()
        given.join()
    holder.close()


def test_waiting_for_turns_leaves_no_threads_behind(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "ledger.turn", timeout_seconds=5)
    contend(turn.path, turn, 3)
    (line,) = lines()
    turn.close()
    line.join(30)
    assert not lines()


def test_a_turn_that_came_too_late_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "ledger.turn"
    holder, turn = Turn(path, timeout_seconds=5), Turn(path, timeout_seconds=0.05)
    holder.take()
    with pytest.raises(LedgerUnavailable, match="has held it"):
        turn.take()
    (line,) = lines()
    holder.give()
    line.join(30)
    # Were it still held by the one that left, neither could have it now.
    holder.take()
    with pytest.raises(LedgerUnavailable):
        turn.take()
    holder.give()
    for each in (holder, turn):
        each.close()
    for line in lines():
        line.join(30)
    assert not lines()
