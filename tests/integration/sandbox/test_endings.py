"""Who runs sandboxes is cancelled, or killed: nothing of them lives on."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.orphans import owner
from prefect_governor.blocks.sandboxes.runtime import SandboxRuntime
from tests import ROOT
from tests.integration.sandbox.left import descriptors, everything, groups_of, processes_of
from tests.integration.sandbox.runtimes import runtime_named
from tests.waiting import readable, until

BUBBLEWRAP = ("bubblewrap", "bubblewrap without cgroups")
# Programs of its own that outlive it where anything does.
FAMILY = "import os, time\nos.setsid() if os.fork() == 0 else None\nos.fork()\ntime.sleep(1000)"


@pytest.mark.parametrize("name", BUBBLEWRAP)
def test_a_cancelled_program_and_all_that_it_started_are_gone_when_the_cancelled_wait_is(
    name: str, tmp_path: Path
) -> None:
    runtime = runtime_named(name)

    async def cancelled_at_any_step(runtime: SandboxRuntime) -> None:
        await _cancel(runtime, tmp_path, after=None)
        before, files = everything(), descriptors()
        for steps in range(0, 60, 3):
            await _cancel(runtime, tmp_path, after=steps)
        await _cancel(runtime, tmp_path, after=None)
        assert everything() == before
        assert descriptors() <= files

    asyncio.run(cancelled_at_any_step(runtime))
    assert processes_of(os.getpid()) == []


async def _cancel(runtime: SandboxRuntime, folder: Path, *, after: int | None) -> None:
    """Cancel a cell with a program in it after so many turns of the event loop; None: once its
    program runs."""
    task = asyncio.ensure_future(_run_family(runtime, folder))
    if after is None:
        while not (folder / "begun").exists() and not task.done():
            await asyncio.sleep(0.01)
    else:
        for _ in range(after):
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    (folder / "begun").unlink(missing_ok=True)


async def _run_family(runtime: SandboxRuntime, folder: Path) -> None:
    async with runtime.cell(folder, SandboxBounds(seconds=60)) as cell:
        await cell.run(["touch", "begun"])
        await cell.run(["python3", "-c", FAMILY])


@pytest.mark.parametrize("counted", ["cgroups", pytest.param("none", marks=pytest.mark.chaos)])
def test_of_a_process_killed_with_eight_sandboxes_nothing_is_left(
    counted: str, tmp_path: Path
) -> None:
    runtime = runtime_named("bubblewrap")
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.sandbox.holder", "8", counted],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert readable(holder.stdout, 60) and holder.stdout.readline() == b"held\n"
        assert len(processes_of(holder.pid)) >= 8
        groups = groups_of(holder.pid)
        holder.kill()
        holder.wait()
    # What was being started in that very instant waits for ever, and for the next start.
    swept = asyncio.run(runtime.sweep())
    until(lambda: processes_of(holder.pid) == [], seconds=20)
    assert groups_of(holder.pid) == []
    if groups:
        assert swept >= 8


def test_a_process_that_waits_for_ever_as_bubblewrap_was_killed_in_its_instant_is_swept(
    tmp_path: Path,
) -> None:
    runtime = runtime_named("bubblewrap")
    dead = subprocess.Popen(["true"])
    dead.wait()
    here = owner().rpartition("-")[2]
    stuck = _sleeping(SANDBOX_OWNER=f"{dead.pid}-1-{here}")
    mine = _sleeping()
    # Its owner, in a container whose processes are seen from here, has a number that nobody has.
    of_a_container = _sleeping(SANDBOX_OWNER=f"{dead.pid}-1-{here}1")
    try:
        until(lambda: stuck.pid in processes_of(dead.pid))
        assert asyncio.run(runtime.sweep()) >= 1
        assert stuck.wait(timeout=10) == -9
        assert mine.poll() is None and of_a_container.poll() is None
    finally:
        for each in (stuck, mine, of_a_container):
            each.kill()
            each.wait()


def _sleeping(**environment: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "1000"], env={**environment, "PATH": os.environ["PATH"]})
