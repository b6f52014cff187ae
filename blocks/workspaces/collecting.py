"""The outputs of a workspace, copied to where they stay."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.workspaces.bounds import Allowance, WorkspaceBounds
from prefect_governor.blocks.workspaces.names import PARTIAL, NameRefused, Refused
from prefect_governor.blocks.workspaces.removal import remove_tree
from prefect_governor.blocks.workspaces.tree import FOLDER, Tree, chunks_of


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """A file that came out of a workspace.

    Attributes:
        name: relative, with slashes.
        bytes: its size.
        sha256: of what is in it, in hexadecimal.
    """

    name: str
    bytes: int
    sha256: str


class Hashed:
    """Chunks as they are read on, with their hash and their size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def collect_outputs(
    tree: Tree, bounds: WorkspaceBounds, given: Mapping[tuple[str, ...], str], into: Path
) -> tuple[CollectedFile, ...]:
    """See `Workspace.collect`; `given` are the hashes of inputs, by the parts of their names."""
    make_folder(into.parent)
    parent = os.open(into.parent, FOLDER)
    partial, held = PARTIAL + secrets.token_hex(8), None
    try:
        while held is None:
            with suppress(FileExistsError):
                os.mkdir(partial, 0o700, dir_fd=parent)
            held = _held(parent, partial)
        with Tree(into.parent / partial) as copies:
            collected = tuple(_copied(tree, copies, bounds, given))
        remove_tree(parent, into.name)
        if collected:
            os.rename(partial, into.name, src_dir_fd=parent, dst_dir_fd=parent)
            os.fsync(parent)
        return collected
    finally:
        remove_tree(parent, partial)
        if held is not None:
            os.close(held)
        os.close(parent)


def sweep_partial(folder: Path) -> int:
    """Remove what is left in a folder of copies whose process died before they were whole; how many
    there were. Raises OSError."""
    try:
        parent = os.open(folder, FOLDER)
    except FileNotFoundError:
        return 0
    swept = 0
    try:
        for name in os.listdir(parent):
            if name.startswith(PARTIAL) and (held := _held(parent, name)) is not None:
                try:
                    remove_tree(parent, name)
                    swept += 1
                finally:
                    os.close(held)
        return swept
    finally:
        os.close(parent)


def _held(parent: int, name: str) -> int | None:
    """A folder's lock, which ends with whoever has it; None where another has it, or removed it
    between the two steps."""
    try:
        folder = os.open(name, FOLDER, dir_fd=parent)
    except OSError:
        return None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        os.close(folder)
        return None
    return folder


def _copied(
    tree: Tree, copies: Tree, bounds: WorkspaceBounds, given: Mapping[tuple[str, ...], str]
) -> Iterator[CollectedFile]:
    allowance = Allowance(bounds)
    for entry in tree.walk(bounds):
        if isinstance(entry, Refused) or entry.is_folder:
            continue
        try:
            if (before := given.get(entry.parts)) is not None:
                with tree.reading(entry.parts) as (file, size):
                    if _drained(Hashed(chunks_of(file, size))).sha256 == before:
                        continue
            with tree.reading(entry.parts) as (file, size):
                allowance.take(size=size)
                data = Hashed(chunks_of(file, size))
                copies.write(entry.parts, data, durably=True)
        except (NameRefused, FileNotFoundError, PermissionError):
            # It was another thing a moment ago, or its program has closed it to all.
            continue
        yield CollectedFile(entry.name, data.size, data.sha256)


def _drained(data: Hashed) -> Hashed:
    for _ in data:
        pass
    return data
