"""A workspace: a folder for one item, with bounds, whose names lead nowhere else."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from typing_extensions import Self

from prefect_governor.blocks.workspaces.bounds import BOUNDS, Allowance, WorkspaceBounds
from prefect_governor.blocks.workspaces.collecting import CollectedFile, Hashed, collect_outputs
from prefect_governor.blocks.workspaces.names import NameRefused, Refused, parts_of, shown
from prefect_governor.blocks.workspaces.packing import pack_tree
from prefect_governor.blocks.workspaces.standing import Standing
from prefect_governor.blocks.workspaces.tree import Entry, Tree, chunks_of
from prefect_governor.blocks.workspaces.unpacking import Unpacked, unpack_tree


class Workspace:
    """The folder at `root`, which is there, as the workspace of the item `key`.

    Names are relative to it, with slashes. Whatever else writes there at the same time, no name
    leads out: links, hard links, devices and pipes are neither read nor written through. Blocking;
    not for several threads at once.

    Raises OSError where there is no such folder.
    """

    def __init__(self, root: Path, key: str, bounds: WorkspaceBounds = BOUNDS) -> None:
        self.root, self.key, self.bounds = root, key, bounds
        self._tree = Tree(root)
        # What was put in, by its name: its hash.
        self._given: dict[tuple[str, ...], str] = {}

    def close(self) -> None:
        """Let go of the folder, which stays."""
        self._tree.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def put_file(self, name: str, data: bytes) -> None:
        """Write a file, as an input: it is no output as long as it is not changed. One of the same
        name is replaced.

        Raises:
            NameRefused: the name leads out, or a folder, or a name that differs in case alone, is
                in its place.
            WorkspaceFull: it does not fit.
        """
        parts = self._parts(name)
        Standing(self._tree, self.bounds).place(parts, len(data))
        self._write(parts, [data])

    def put_tree(
        self, source: Path, *, under: str = "", skip: Callable[[str], bool] = lambda name: False
    ) -> tuple[Refused, ...]:
        """Copy a file, or all that is in a folder, into the folder `under` of the workspace, as
        inputs. Links are not followed but left out, as are devices and names that the rules refuse;
        what was left out is returned. What `skip` says of its name, without the folders above, is
        passed over with all that is inside.

        Raises:
            NameRefused: `under` is refused, or something is in the way.
            WorkspaceFull: it does not fit; what was copied until then stays.
            OSError: `source` cannot be read.
        """
        above = parts_of(under, max_depth=self.bounds.max_depth)
        standing = Standing(self._tree, self.bounds)
        source = source.resolve(strict=True)
        if not source.is_dir():
            parts = self._parts("/".join((*above, source.name)))
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                standing.place(parts, size)
                self._write(parts, chunks_of(file.fileno(), size))
            return ()
        refused: list[Refused] = []
        with Tree(source, hard_links=True) as tree:
            for entry in tree.walk(self.bounds, skip=skip):
                if isinstance(entry, Refused):
                    refused.append(entry)
                    continue
                parts = (*above, *entry.parts)
                try:
                    parts_of("/".join(parts), max_depth=self.bounds.max_depth)
                    if entry.is_folder:
                        standing.stand(standing.place(parts, 0, is_folder=True), 0)
                        with self._tree.folder(parts, make=True):
                            continue
                    with tree.reading(entry.parts) as (opened, size):
                        standing.stand(standing.place(parts, size), size)
                        data = chunks_of(opened, size)
                        self._write(parts, data, executable=entry.executable)
                except NameRefused as error:
                    refused.append(error.refused)
                except (FileNotFoundError, PermissionError) as error:
                    refused.append(Refused(shown(entry.name), str(error.strerror)))
        return tuple(refused)

    def put_files(self, files: Iterable[tuple[str, Path]]) -> tuple[Refused, ...]:
        """Copy files, each under its name here, as inputs. What cannot be read, or whose name the
        rules refuse, is left out and returned.

        Raises:
            WorkspaceFull: they do not fit; what was copied until then stays.
        """
        standing = Standing(self._tree, self.bounds)
        refused: list[Refused] = []
        for name, source in files:
            try:
                parts = self._parts(name)
                with source.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    standing.stand(standing.place(parts, size), size)
                    self._write(parts, chunks_of(file.fileno(), size))
            except NameRefused as error:
                refused.append(error.refused)
            except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
                refused.append(Refused(shown(name), str(error.strerror)))
        return tuple(refused)

    def read(self, name: str) -> bytes:
        """What is in a file.

        Raises NameRefused for what is none or leads out, FileNotFoundError, WorkspaceFull for one
        that is larger than a workspace may be.
        """
        with self._tree.reading(self._parts(name)) as (file, _):
            data = b"".join(chunks_of(file, self.bounds.max_bytes + 1))
        Allowance(self.bounds).take(size=len(data))
        return data

    def names(self) -> list[str]:
        """The files in it, in order. Raises WorkspaceFull where there are more than it may have."""
        entries = self._tree.walk(self.bounds)
        return [each.name for each in entries if isinstance(each, Entry) and not each.is_folder]

    def refused(self) -> tuple[Refused, ...]:
        """What is in it that is neither read, packed nor collected: links, devices, names that the
        rules refuse. Raises WorkspaceFull where there is more than it may have."""
        return tuple(each for each in self._tree.walk(self.bounds) if isinstance(each, Refused))

    def pack(self) -> Iterator[bytes]:
        """A tar archive of it, in chunks: see `pack`."""
        return pack_tree(self._tree, self.bounds)

    def unpack(self, stream: "IO[bytes] | Iterable[bytes]", *, exact: bool = False) -> Unpacked:
        """Write a tar archive into it that is taken as hostile: see `unpack_into`."""
        return unpack_tree(self._tree, stream, self.bounds, exact=exact)

    def collect(self, into: Path) -> tuple[CollectedFile, ...]:
        """Copy its outputs, the files that are new or not as they were put in, into the folder
        `into`, in order of names, and durably. `into` is made, and what was in it is replaced, once
        all are copied. Without outputs nothing is made, and what was there is removed.

        Raises WorkspaceFull where there is more than the bounds, OSError.
        """
        return collect_outputs(self._tree, self.bounds, self._given, into)

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = parts_of(name, max_depth=self.bounds.max_depth)
        if not parts:
            raise NameRefused(name, "it names the workspace itself")
        return parts

    def _write(
        self, parts: tuple[str, ...], data: Iterable[bytes], *, executable: bool = False
    ) -> None:
        hashed = Hashed(data)
        self._tree.write(parts, hashed, executable=executable)
        self._given[parts] = hashed.sha256
