"""A process that holds sandboxes until it is killed: `python -m … COUNT cgroups|none`."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.runtime import BubblewrapRuntime


async def hold(count: int, *, counted: bool) -> None:
    runtime = BubblewrapRuntime(counted=counted)
    begun = 0

    async def one() -> None:
        nonlocal begun
        with TemporaryDirectory() as folder:
            async with runtime.cell(Path(folder), SandboxBounds()) as cell:
                await cell.run(["true"])
                begun += 1
                if begun == count:
                    print("held", flush=True)
                await cell.run(["sh", "-c", "while :; do :; done & sleep 1000"], seconds=1000)

    await asyncio.gather(*(one() for _ in range(count)))


if __name__ == "__main__":
    asyncio.run(hold(int(sys.argv[1]), counted=sys.argv[2] == "cgroups"))
