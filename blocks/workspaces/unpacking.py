"""An archive that came out of a sandbox, as a folder."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from prefect_governor.blocks.workspaces.archive import (
    BLOCK,
    ArchiveBroken,
    ArchiveTooLong,
    Member,
    Source,
    members,
)
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds, WorkspaceFull
from prefect_governor.blocks.workspaces.names import NameRefused, Refused, parts_of, shown
from prefect_governor.blocks.workspaces.removal import remove_entry, remove_tree
from prefect_governor.blocks.workspaces.standing import Standing
from prefect_governor.blocks.workspaces.tree import Tree

# What is refused is named up to here, and counted beyond.
MOST_REFUSED = 100
# An archive may be so much longer than what the folder may hold: headers, padding, what is refused.
_HEADERS_A_FILE = 4 * BLOCK
_SPARE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of an archive.

    Attributes:
        written: names of the files that were written, in the archive's order.
        refused: what was not, and why; the first 100, and how many more.
        whole: whether the archive was read to its end.
        too_long: whether that was because there was more of it than the folder may hold.
    """

    written: tuple[str, ...]
    refused: tuple[Refused, ...] = ()
    whole: bool = True
    too_long: bool = False


def unpack_into(
    folder: Path,
    stream: "IO[bytes] | Iterable[bytes]",
    bounds: WorkspaceBounds = BOUNDS,
    *,
    exact: bool = False,
) -> Unpacked:
    """Write the files of a tar archive into a folder that is there. The archive is taken as
    hostile: a member is refused, and named, for a name that leads out, is absolute, holds control
    characters or stands there already but for its case; for a second one of the same name; for a
    link, a device, a pipe, a sparse file; and where it goes beyond `bounds`. All others are kept.
    Files get the modes 0600 or 0700, whatever the archive says. No more of it is read than
    `bounds` and the headers of so many files can be.

    Args:
        stream: a file, or chunks of bytes; not compressed.
        bounds: what the folder may hold, with what is in it already.
        exact: the folder is to be what the archive is: what it does not have is removed, unless it
            was not whole. What was in the folder then does not count. What no archive of the folder
            has (links, files with several names, names that are refused) stays, and so do the
            folders that it is in.

    Raises OSError where the disk is full or the folder is gone. A file is written whole or not at
    all.
    """
    with Tree(folder) as tree:
        return unpack_tree(tree, stream, bounds, exact=exact)


def unpack_tree(
    tree: Tree,
    stream: "IO[bytes] | Iterable[bytes]",
    bounds: WorkspaceBounds,
    *,
    exact: bool = False,
) -> Unpacked:
    """`unpack_into`, of a folder that is open."""
    most = bounds.max_bytes + bounds.max_files * _HEADERS_A_FILE + _SPARE
    source = Source(stream, most=most)
    unpacking = Unpacking(tree, bounds, exact=exact)
    broken: tuple[Refused, ...] = ()
    too_long = False
    try:
        for member in members(source):
            unpacking.take(member, source)
    except ArchiveBroken as error:
        broken = (Refused("the archive", str(error)),)
        too_long = isinstance(error, ArchiveTooLong)
    if exact and not broken:
        unpacking.remove_others()
    refused = (*unpacking.refused, *broken)
    return Unpacked(tuple(unpacking.written), refused, not broken, too_long)


class Unpacking:
    """Members as they come, written into a tree by its rules."""

    def __init__(self, tree: Tree, bounds: WorkspaceBounds, *, exact: bool = False) -> None:
        self._tree, self._bounds = tree, bounds
        self._standing = Standing(tree, bounds, exact=exact)
        self.written: list[str] = []
        self._refused: list[Refused] = []
        self._more = 0

    @property
    def refused(self) -> tuple[Refused, ...]:
        more = (Refused(f"{self._more:,} more", "likewise"),) if self._more else ()
        return (*self._refused, *more)

    def _refuse(self, refused: Refused) -> None:
        if len(self._refused) < MOST_REFUSED:
            self._refused.append(refused)
        else:
            self._more += 1

    def take(self, member: Member, source: Source) -> None:
        """Write a member, or say why not. Raises ArchiveBroken, OSError."""
        data = source.data(member.size)
        try:
            parts = parts_of(member.name, max_depth=self._bounds.max_depth)
            if member.refused is not None:
                raise NameRefused(member.name, member.refused)
            if parts:
                self._write(parts, member, data)
            elif not member.is_folder:
                raise NameRefused(member.name, "a file without a name")
        except NameRefused as error:
            self._refuse(error.refused)
        except WorkspaceFull as error:
            self._refuse(Refused(shown(member.name), str(error)))
        for _ in data:
            pass

    def remove_others(self) -> None:
        """Remove what the archive does not have, and could have had."""
        for entry in self._standing.others():
            with (
                suppress(FileNotFoundError, NameRefused),
                self._tree.folder(entry.parts[:-1]) as at,
            ):
                remove_entry(at, entry.parts[-1], is_folder=entry.is_folder)

    def _write(self, parts: tuple[str, ...], member: Member, data: Iterator[bytes]) -> None:
        placing = self._standing.place(parts, member.size, is_folder=member.is_folder)
        for entry in placing.stale:
            # With a folder that was removed before it, it is gone.
            with suppress(FileNotFoundError), self._tree.folder(entry.parts[:-1]) as folder:
                remove_tree(folder, entry.parts[-1])
        try:
            if member.is_folder:
                with self._tree.folder(parts, make=True):
                    pass
            else:
                self._tree.write(parts, data, executable=member.executable)
                self.written.append("/".join(parts))
        except NameRefused:
            self._standing.give_back(placing)
            raise
        self._standing.stand(placing, member.size)
