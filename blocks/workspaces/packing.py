"""A folder as a tar archive."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from prefect_governor.blocks.workspaces.archive import BLOCK
from prefect_governor.blocks.workspaces.bounds import BOUNDS, Allowance, WorkspaceBounds
from prefect_governor.blocks.workspaces.names import NameRefused, Refused
from prefect_governor.blocks.workspaces.tree import Entry, Tree, chunks_of

_END = bytes(2 * BLOCK)


def pack(folder: Path, bounds: WorkspaceBounds = BOUNDS) -> Iterator[bytes]:
    """A tar archive of the files and folders in `folder`, in chunks, in order of names. It holds no
    owners; of modes only whether a file is a program. What the rules refuse (links, devices, names)
    is not in it: `Tree.walk` names that.

    Raises, as it is read: OSError, WorkspaceFull where there is more than `bounds`.
    """
    with Tree(folder) as tree:
        yield from pack_tree(tree, bounds)


def pack_tree(tree: Tree, bounds: WorkspaceBounds) -> Iterator[bytes]:
    """`pack`, of a folder that is open."""
    allowance = Allowance(bounds)
    for entry in tree.walk(bounds):
        if isinstance(entry, Refused):
            continue
        if entry.is_folder:
            yield _header_of(entry, 0)
            continue
        try:
            with tree.reading(entry.parts) as (file, size):
                allowance.take(size=size)
                yield _header_of(entry, size)
                yield from _padded(file, size)
        except (NameRefused, FileNotFoundError):
            # It was another thing a moment ago.
            continue
    yield _END


def _header_of(entry: Entry, size: int) -> bytes:
    info = tarfile.TarInfo(entry.name)
    info.type = tarfile.DIRTYPE if entry.is_folder else tarfile.REGTYPE
    info.mode = 0o700 if entry.is_folder or entry.executable else 0o600
    info.size, info.mtime = size, max(0, entry.mtime)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padded(file: int, size: int) -> Iterator[bytes]:
    """As many bytes as the header says, and to the end of the last block: a file may shrink or grow
    while it is read."""
    left = size
    for chunk in chunks_of(file, size):
        left -= len(chunk)
        yield chunk
    yield bytes(left + -size % BLOCK)
