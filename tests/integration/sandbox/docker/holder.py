"""A process that has cells open until it is killed: `python -m ... HOST OWNERS LEDGER CELLS`."""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.ownership import Ownership
from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from tests.engine import IMAGE

BOUNDS = SandboxBounds(memory_mib=64, seconds=600)


async def main(host: str, owners: str, ledger_id: str, cells: int) -> None:
    runtime = DockerRuntime(IMAGE, host, owner=Ownership(ledger_id, Owner(Path(owners))))
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.gettempdir())

        async def hold() -> None:
            empty = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            cell = await stack.enter_async_context(runtime.cell(empty, BOUNDS))
            await cell.run(["true"])
            print("open", flush=True)
            await cell.run(["sh", "-c", "while :; do sleep 1; done"])

        await asyncio.gather(*(hold() for _ in range(cells)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
