"""Workspaces as they were after a program, on disk: whoever goes on with an item has the files that
its agent was told of, and runs no program a second time."""

import os
import shutil
from pathlib import Path

from prefect_governor.blocks.workspaces.workspace import Workspace

_SUFFIX = ".tar"


class Snapshots:
    """Of one item, in `folder`, by the number of programs that had run. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, workspace: Workspace, number: int) -> None:
        """Durably. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._file(number)
        partial = file.with_suffix(".partial")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            for chunk in workspace.pack():
                written.write(chunk)
            written.flush()
            os.fsync(written.fileno())
        partial.replace(file)

    def restore(self, workspace: Workspace, number: int) -> None:
        """Make a workspace what it was. Raises OSError."""
        kept = self._file(number)
        with kept.open("rb") as file:
            if not workspace.unpack(file, exact=True).whole:
                raise OSError(f"{kept} is damaged: remove it, and the item is begun anew")

    def has(self, number: int) -> bool:
        return self._file(number).is_file()

    def forget_before(self, number: int) -> None:
        """Those of earlier programs, once what this one said is kept."""
        for file in self._folder.glob(f"*{_SUFFIX}"):
            if file.stem.isdigit() and int(file.stem) < number:
                file.unlink(missing_ok=True)

    def remove(self) -> None:
        """All of them: the item has its outcome."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}{_SUFFIX}"
