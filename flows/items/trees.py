"""A folder as one item: what of it counts, how it is told to a model, what names its content."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.workspaces.bounds import (
    BOUNDS,
    Allowance,
    WorkspaceBounds,
    WorkspaceFull,
)
from prefect_governor.blocks.workspaces.names import Refused
from prefect_governor.blocks.workspaces.tree import Entry, Tree, chunks_of

# Folders that hold nothing that people wrote.
UNREAD_FOLDERS = frozenset({"node_modules", "__pycache__"})
# Files that a model is told of by name; of more it is told how many.
_MOST_NAMES = 200


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is no part of an item: a hidden one (of which `.git`
    is large, and `.env` nobody's business), or one that holds nothing that people wrote."""
    return name.startswith(".") or name in UNREAD_FOLDERS


def tree_text(folder: Path, bounds: WorkspaceBounds = BOUNDS) -> str:
    """What a model is told of a folder: its files by name, with their sizes.

    Raises ItemFailed where it cannot be read, holds no file, or more than `bounds`.
    """
    lines = []
    count = 0
    for entry in _files(folder, bounds):
        count += 1
        if count <= _MOST_NAMES:
            lines.append(f"{entry.name} ({entry.size:,} bytes)")
    if not count:
        raise ItemFailed("the folder holds no files")
    if count > _MOST_NAMES:
        lines.append(f"… and {count - _MOST_NAMES:,} more files")
    return "\n".join(lines)


def tree_digest(folder: Path, bounds: WorkspaceBounds = BOUNDS) -> str:
    """Names all that is in a folder, with its names. Raises ItemFailed as `tree_text` does."""
    found = hashlib.sha256()
    try:
        # A link that was named is where it leads, as it is for the workspace.
        with Tree(folder.resolve(), hard_links=True) as tree:
            for entry in _files(folder, bounds):
                found.update(f"{entry.name}\0{entry.size}\0{entry.executable}\0".encode())
                with tree.reading(entry.parts) as (file, size):
                    for chunk in chunks_of(file, size):
                        found.update(chunk)
    except (OSError, ValueError) as error:
        raise ItemFailed(f"the folder cannot be read: {error}") from None
    return found.hexdigest()


def _files(folder: Path, bounds: WorkspaceBounds) -> Iterator[Entry]:
    allowance = Allowance(bounds)
    try:
        with Tree(folder.resolve(), hard_links=True) as tree:
            for entry in tree.walk(bounds, skip=is_left_out):
                if not isinstance(entry, Refused):
                    allowance.take(size=entry.size, files=1)
                    if not entry.is_folder:
                        yield entry
    except WorkspaceFull as full:
        raise ItemFailed(f"the folder is too large for a workspace: {full}") from None
    except OSError as error:
        raise ItemFailed(f"the folder cannot be read: {error.strerror}") from None
