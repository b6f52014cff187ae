"""Where a sub-agent with tools works: a workspace of its own, whose files are kept at the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from prefect_governor.blocks.errors import GovernorError, ItemFailed
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.blocks.workspaces.names import folder_name
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.trees import is_left_out
from prefect_governor.flows.mcp.quarters import Quarters
from prefect_governor.flows.run.item_files import ItemFiles
from prefect_governor.flows.tools.bench import Bench
from prefect_governor.flows.tools.kit import Kit
from prefect_governor.flows.tools.snapshots import Snapshots

logger = logging.getLogger(__name__)


def snapshots_of(kept_as: str, key: str) -> Snapshots:
    """Where the workspace of a run's item is kept until its answer is."""
    return Snapshots(state_folder() / "runs" / kept_as / "snapshots" / folder_name(key))


@asynccontextmanager
async def at_bench(
    kit: Kit,
    *,
    kept_as: str,
    key: str,
    put: Callable[[Workspace], None],
    files: ItemFiles,
    quarters: Quarters | None = None,
    apart: str | None = None,
) -> AsyncIterator[tuple[Bench, Snapshots]]:
    """The bench of the item `key` of the run `kept_as`, with what `put` puts into its workspace,
    and its snapshots. Left, its outputs are among the run's `files`, also where it failed; the
    workspace is gone and nothing of its programs runs on. Programs run in the item's `quarters`,
    where it has some; `apart` is as `Bench` has it.

    Raises ItemFailed where what is put does not fit.
    """
    snapshots = snapshots_of(kept_as, key)
    held = HeldWorkspace(key, whose=lambda: (kept_as, None), bounds=kit.bounds)
    async with held:
        try:
            await asyncio.to_thread(put, held.workspace)
        except (OSError, ValueError) as error:
            raise ItemFailed(f"its files cannot be put into a workspace: {error}") from None
        make_cell = kit.make_cell
        if make_cell is not None and quarters is not None:
            make_cell = quarters.program
        async with Bench(held.workspace, make_cell, apart=apart) as bench:
            try:
                yield bench, snapshots
            except Exception:
                # What it wrote before it failed is what a person wants to look at.
                try:
                    await _keep_files(files, key, bench, snapshots)
                except (OSError, GovernorError) as error:
                    logger.warning("what %s left before it failed is not kept: %s", key, error)
                raise
            await _keep_files(files, key, bench, snapshots)


def put_item(workspace: Workspace, item: Item) -> None:
    """The files of an item: of a folder all of them, of a file that file, of a text none.

    Raises OSError, ValueError.
    """
    source = item.folder or item.source
    if source is not None:
        workspace.put_tree(Path(source), skip=is_left_out)


async def _keep_files(files: ItemFiles, key: str, bench: Bench, snapshots: Snapshots) -> None:
    async with bench.turn:
        # Where all that its programs said was kept, none has run here.
        await asyncio.to_thread(bench.catch_up, snapshots)
        await files.keep(key, bench.workspace)
