"""Who keeps the leases for all: one at a time, whatever became of the last one."""

import os
from pathlib import Path

from prefect_governor.blocks.leases.keeper import Keeper
from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.machine.clock import machine_now
from prefect_governor.blocks.machine.election import Election


def test_forked_child_does_not_keep_its_dead_parent_elected(tmp_path: Path) -> None:
    path = tmp_path / "keepers" / "one"
    parent = Election(path)
    assert parent.won()
    inherited = Election(path)
    inherited._lock = os.dup(parent._lock)  # type: ignore[arg-type]
    inherited.close()
    assert not Election(path).won()
    parent.close()
    assert Election(path).won()


def test_folder_of_the_election_that_was_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "keepers" / "one"
    one, other = Election(path), Election(path)
    assert one.won()
    path.unlink()
    path.parent.rmdir()
    assert other.won()
    assert not one.won()


def test_thread_outlives_an_election_that_cannot_be_held(tmp_path: Path) -> None:
    (tmp_path / "keepers").write_text("a file where the folder should be")
    limit = LimitKeeper(None, None, key="key", name="name", now=machine_now)  # type: ignore[arg-type]
    keeper = Keeper(tmp_path / "keepers", "governor", [limit], lambda: None, now=machine_now)
    try:
        keeper._stopping.wait(0.3)
        assert keeper._thread.is_alive()
    finally:
        keeper.stop()
    assert not keeper._thread.is_alive()
