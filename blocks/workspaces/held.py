"""A workspace for as long as a block of code lasts."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.blocks.machine.endings import Block
from prefect_governor.blocks.machine.text import label
from prefect_governor.blocks.workspaces.bounds import (
    BOUNDS,
    Allowance,
    WorkspaceBounds,
    WorkspaceFull,
)
from prefect_governor.blocks.workspaces.names import Refused, too_deep
from prefect_governor.blocks.workspaces.places import Place, sweep_once
from prefect_governor.blocks.workspaces.tree import Tree
from prefect_governor.blocks.workspaces.workspace import Workspace


class HeldWorkspace(Block):
    """A workspace that is made, empty, when it is entered, with `with` or `async with`, and removed
    when it is left. Entered once. What it is entered as is the path of its folder.

    Args:
        key: names the item; two that are held at once are two folders, also under one name.
        whose: the run, and the item that the code is part of where it is part of one.
        keep: leave the folder where it is.
        bounds: what it may hold.

    Raises:
        ConfigurationError: `key` is no text, or empty.
        ItemFailed: when it is left, without another error: it holds more than its bounds.
    """

    def __init__(
        self,
        key: str,
        *,
        whose: Callable[[], tuple[str, str | None]],
        keep: bool = False,
        bounds: WorkspaceBounds | None = None,
    ) -> None:
        self._key = label(key, "key")
        if not self._key.strip():
            raise ConfigurationError("workspace(key) needs a key that is not empty")
        self._whose, self._keep = whose, keep
        self._bounds = BOUNDS if bounds is None else bounds
        self._place: Place | None = None
        self._workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """The workspace, while it is held. Raises ConfigurationError before and after."""
        if self._workspace is None:
            raise ConfigurationError("this workspace is not held: use it inside its `with` block")
        return self._workspace

    def environment(self) -> dict[str, str]:
        """All that a program is given that runs in the workspace in a process of its own: a home
        and a temporary folder that are this workspace's, `PATH`, and `LANG`. No key, no secret.

        Raises ConfigurationError where the workspace is not held.
        """
        if self._place is None or self._workspace is None:
            raise ConfigurationError("this workspace is not held: use it inside its `with` block")
        return {
            "HOME": str(self._place.home),
            "TMPDIR": str(self._place.temporary),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
        }

    def __enter__(self) -> Path:
        sweep_once()
        return self._make()

    async def __aenter__(self) -> Path:
        await asyncio.to_thread(sweep_once)
        return self._make()

    def _make(self) -> Path:
        if self._place is not None:
            raise ConfigurationError("this workspace was entered before; make another one")
        run, item = self._whose()
        keys = (self._key,) if item is None or item == self._key else (item, self._key)
        self._place = Place(run, keys, keep=self._keep)
        self._place.make()
        self._workspace = Workspace(self._place.files, self._key, self._bounds)
        return self._workspace.root

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._check_bounds()
        finally:
            self.end()
            self._ended()

    async def aleave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever is cancelled meanwhile leaves it to the thread.
        await asyncio.shield(asyncio.to_thread(self.leave, kind, error, trace))

    def end(self) -> None:
        """Remove it, unless it is to be kept."""
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.close()
        if self._place is not None:
            self._place.release()

    def _check_bounds(self) -> None:
        """What programs wrote, whom nobody could hold back. Raises ItemFailed."""
        if self._place is None:
            return
        allowance, deep = Allowance(self._bounds), too_deep(self._bounds.max_depth)
        try:
            for folder in self._place.inner:
                with suppress(FileNotFoundError), Tree(folder) as tree:
                    for each in tree.walk(self._bounds):
                        if isinstance(each, Refused) and each.reason == deep:
                            raise ItemFailed(f"workspace {self._key!r}: {each} (max_depth)")
                        allowance.take(size=0 if isinstance(each, Refused) else each.size, files=1)
        except WorkspaceFull as full:
            raise ItemFailed(f"workspace {self._key!r}: {full}") from None
