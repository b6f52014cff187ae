"""What a sandbox costs: a program that does nothing, from asking to its result, against the same as
a bare process, at 1 and at 16 at once; and one more program in a cell that is there already.

    ./run python -m tests.benchmarks.sandbox [RUNTIME …]

RUNTIME: names of tests/integration/sandbox/runtimes.py. Default: all that work here.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.runtime import Cell, SandboxRuntime
from tests.integration.sandbox.runtimes import RUNTIMES, runtime_named

PROGRAM = ["/bin/true"]
RUNS = 160
AT_ONCE = (1, 16)
BOUNDS = SandboxBounds()

Work = Callable[[], Awaitable[object]]


async def bare() -> None:
    """The same program, unsandboxed."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await process.communicate()


async def cold(runtime: SandboxRuntime) -> None:
    """A sandbox made, a program run in it, all of it gone."""
    with TemporaryDirectory() as folder:
        async with runtime.cell(Path(folder), BOUNDS) as cell:
            result = await cell.run(PROGRAM)
            assert result.exit == 0, result


async def measure(work: Work, at_once: int) -> tuple[float, float]:
    """The p50 and the p99, in milliseconds, of `RUNS` with so many at once."""
    took: list[float] = []
    left = iter(range(RUNS))

    async def one_after_another() -> None:
        for _ in left:
            began = time.perf_counter()
            await work()
            took.append(1000 * (time.perf_counter() - began))

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]


async def warm(runtime: SandboxRuntime, at_once: int) -> tuple[float, float]:
    """The same for one more program in cells that are there already."""
    with TemporaryDirectory() as place:
        cells: asyncio.Queue[Cell] = asyncio.Queue()
        stop = asyncio.Event()

        async def hold(at: int) -> None:
            folder = Path(place, str(at))
            folder.mkdir()
            async with runtime.cell(folder, BOUNDS) as cell:
                await cell.run(PROGRAM)
                await cells.put(cell)
                await stop.wait()

        holding = [asyncio.ensure_future(hold(at)) for at in range(at_once)]
        while cells.qsize() < at_once:
            await asyncio.sleep(0.01)

        async def work() -> None:
            cell = await cells.get()
            result = await cell.run(PROGRAM)
            assert result.exit == 0, result
            await cells.put(cell)

        try:
            return await measure(work, at_once)
        finally:
            stop.set()
            await asyncio.gather(*holding)


async def report(names: list[str]) -> None:
    print(f"{RUNS} runs of {' '.join(PROGRAM)} each, {os.cpu_count()} cores; ms, and times as long")
    print(f"{'':44}{'at once':>8}{'p50':>9}{'p99':>9}{'p50 x':>8}{'p99 x':>8}")
    for at_once in AT_ONCE:
        base = await measure(bare, at_once)
        rows: list[tuple[str, tuple[float, float]]] = [("a bare process", base)]
        for name in names:
            try:
                runtime = await asyncio.to_thread(runtime_named, name)
            except pytest.skip.Exception as left_out:
                print(left_out)
                continue
            rows.append((f"{name}, cold", await measure(partial(cold, runtime), at_once)))
            rows.append((f"{name}, in a cell that is there", await warm(runtime, at_once)))
        for name, (p50, p99) in rows:
            times = f"{p50 / base[0]:8.1f}{p99 / base[1]:8.1f}"
            print(f"{name:44}{at_once:8}{p50:9.1f}{p99:9.1f}{times}")


if __name__ == "__main__":
    asyncio.run(report(sys.argv[1:] or sorted(RUNTIMES)))
