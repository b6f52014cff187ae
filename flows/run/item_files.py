"""The files of items, beside the run's results: what their workspaces held at the end."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import is_private
from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds
from prefect_governor.blocks.workspaces.collecting import CollectedFile, sweep_partial
from prefect_governor.blocks.workspaces.names import folder_name
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.report.model import ItemFile

logger = logging.getLogger(__name__)

_FILES = "files"
# What is copied was within an item's bounds.
_ANY = WorkspaceBounds(max_mib=1_048_576, max_files=10_000_000, max_depth=256)


class ItemFiles:
    """The files of a run's items: in the folder `files` beside the results file in the state, in
    `NAME.files` beside one that a person named NAME.jsonl.

    Args:
        results: the results file.
    """

    def __init__(self, results: Path) -> None:
        self.folder = results.absolute().parent / (
            _FILES if is_private(results) else f"{results.stem}.files"
        )
        self._kept: dict[str, tuple[CollectedFile, ...]] = {}
        self.any = False

    def sweep(self) -> None:
        """Remove what a run that was killed while it copied has left, here and in all runs of the
        state. Blocks."""
        state = state_folder() / "runs"
        for folder in {self.folder, *(state.glob(f"*/{_FILES}") if state.is_dir() else ())}:
            try:
                sweep_partial(folder)
            except OSError as error:
                logger.warning("copies that were left in %s cannot be removed: %s", folder, error)

    async def keep(self, key: str, workspace: Workspace) -> None:
        """Copy the outputs of an item's workspace, in the place of those of an earlier attempt.

        Raises WorkspaceFull, OSError.
        """
        self._keep(key, await asyncio.to_thread(workspace.collect, self._folder_of(key)))

    def record(self, key: str) -> dict[str, Any] | None:
        """An item's files, as the ledger keeps them with its success; None where it has none."""
        files = self._kept.get(key)
        if not files:
            return None
        return {"folder": str(self._folder_of(key)), "files": [asdict(each) for each in files]}

    def taken_over(self, key: str, record: Mapping[str, Any]) -> str | None:
        """An item that an earlier attempt has finished has its files here too. What is to be said
        of them: that they are gone."""
        there, here = Path(record["folder"]), self._folder_of(key)
        wanted = tuple(CollectedFile(**each) for each in record["files"])
        try:
            with Workspace(there, key, _ANY) as workspace:
                found = wanted if there == here else workspace.collect(here)
        except OSError as error:
            return f"its files in {there} are gone ({error.strerror})"
        self._keep(key, found)
        missing = sorted({each.name for each in wanted} - {each.name for each in found})
        return f"of its files in {there} are gone: {', '.join(missing)}" if missing else None

    def of(self, key: str) -> tuple[ItemFile, ...]:
        """An item's files for its report."""
        above = f"{self.folder.name}/{folder_name(key)}"
        return tuple(
            ItemFile(name=f"{above}/{each.name}", bytes=each.bytes, sha256=each.sha256)
            for each in self._kept.get(key, ())
        )

    def taken(self, key: str) -> tuple[ItemFile, ...]:
        """`of`, once: nothing of them is held any longer."""
        found = self.of(key)
        self._kept.pop(key, None)
        return found

    def _keep(self, key: str, files: tuple[CollectedFile, ...]) -> None:
        self._kept[key] = files
        self.any = self.any or bool(files)

    def _folder_of(self, key: str) -> Path:
        return self.folder / folder_name(key)
