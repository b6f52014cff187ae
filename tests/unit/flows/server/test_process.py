"""What runs in the background server's process, beside Prefect's server."""

import subprocess
import sys
from pathlib import Path

import pytest


def _ended(folder: Path, *arguments: str, seconds: float) -> str:
    command = [sys.executable, "-m", "tests.unit.flows.server.garbage", str(folder / "db")]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=seconds, check=True
    ).stdout


def test_garbage_is_not_collected_by_the_thread_that_others_wait_for(tmp_path: Path) -> None:
    assert _ended(tmp_path, seconds=60) == "ended\n"


def test_where_it_is_everything_stands_still(tmp_path: Path) -> None:
    # Once Python or SQLite is mended, the server needs no thread for its garbage.
    with pytest.raises(subprocess.TimeoutExpired):
        _ended(tmp_path, "here", seconds=3)
