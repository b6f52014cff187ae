"""Where a sub-agent with tools works: its item's files in a workspace of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.blocks.workspaces.names import folder_name
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.trees import is_left_out
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.snapshots import Snapshots


def snapshots_of(job: Job, item: Item) -> Snapshots:
    """Where the item's workspace is kept until its answer is."""
    return Snapshots(state_folder() / "runs" / job.kept_as / "snapshots" / folder_name(item.key))


@asynccontextmanager
async def at_bench(
    job: Job, item: Item, quarters: Quarters | None = None
) -> AsyncIterator[tuple[Bench, Snapshots]]:
    """The item's bench, with its files: of a folder all of them, of a file that file, of a text
    none. Left, the workspace is gone and nothing of its programs runs on. Programs run in the
    item's `quarters`, where it has some.

    Raises ItemFailed where they do not fit.
    """
    kit = job.request.kit
    assert kit is not None
    snapshots = snapshots_of(job, item)
    held = HeldWorkspace(item.key, whose=lambda: (job.kept_as, None), bounds=kit.bounds)
    async with held:
        await asyncio.to_thread(_put, held.workspace, item)
        make_cell = kit.make_cell
        if make_cell is not None and quarters is not None:
            make_cell = quarters.program
        async with Bench(held.workspace, make_cell) as bench:
            yield bench, snapshots


def _put(workspace: Workspace, item: Item) -> None:
    source = item.folder or item.source
    if source is None:
        return
    try:
        workspace.put_tree(Path(source), skip=is_left_out)
    except (OSError, ValueError) as error:
        raise ItemFailed(f"its files cannot be put into a workspace: {error}") from None
