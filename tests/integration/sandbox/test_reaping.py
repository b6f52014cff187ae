"""A machine whose first process reaps late, or never, as that of many containers: what a sandbox
has run is not left to it."""

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.processes import children
from tests.integration.sandbox.runtimes import runtime_named

PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def as_the_first_process() -> Iterator[None]:
    """What the processes that this one starts leave behind comes to this one, which does not wait
    for it."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.parametrize("name", ["bubblewrap", "bubblewrap without cgroups"])
def test_programs_leave_nothing_to_the_machines_first_process(name: str, tmp_path: Path) -> None:
    runtime = runtime_named(name)
    (tmp_path / "a").write_text("a")
    before = children(os.getpid())

    async def run() -> None:
        async with runtime.cell(tmp_path, SandboxBounds()) as cell:
            for argv in (["true"], ["sh", "-c", "sleep 9 & exit 3"], ["true"]):
                await cell.run(argv)
            await cell.run(["sleep", "9"], seconds=0.2)

    with as_the_first_process():
        asyncio.run(run())
        left = children(os.getpid()) - before
        names = [Path(f"/proc/{pid}/comm").read_text() for pid in left]
        for pid in left:
            os.waitpid(pid, os.WNOHANG)
    assert names == []
