"""A folder by its descriptor: every name in it is walked part by part, and no link is followed.

What is checked is what is opened: a link that is put in the place of a folder or a file between two
steps, by whoever writes there at the same time, is met by the open itself, which fails.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds, WorkspaceFull
from prefect_governor.blocks.workspaces.names import PARTIAL, NameRefused, Refused, parts_of, shown

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is not waited for, a terminal does not become ours.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 256 * 1024
# What opening a link or a file as a folder fails with.
NO_FOLDER = frozenset([errno.ELOOP, errno.ENOTDIR, errno.EMLINK])
_KINDS = {
    stat.S_IFREG: None,
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file or a folder of a tree. `size` is in bytes, 0 of a folder."""

    parts: tuple[str, ...]
    is_folder: bool
    size: int
    executable: bool
    mtime: int

    @property
    def name(self) -> str:
        return "/".join(self.parts)


class Tree:
    """The folder at `root`, which must be one and no link.

    Args:
        hard_links: files that have another name too are read: whoever wrote there is trusted.

    Raises OSError where it cannot be opened.
    """

    def __init__(self, root: Path, *, hard_links: bool = False) -> None:
        self._fd = os.open(root, FOLDER)
        self._hard_links = hard_links

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def removed(self) -> bool:
        """Whether somebody has removed the folder meanwhile."""
        return os.fstat(self._fd).st_nlink == 0

    @contextmanager
    def folder(self, parts: Iterable[str], *, make: bool = False) -> Iterator[int]:
        """The descriptor of a folder in it.

        Raises NameRefused where one of the parts is no folder, FileNotFoundError where one is not
        there.
        """
        opened = self._fd
        gone: list[str] = []
        try:
            for part in parts:
                gone.append(part)
                try:
                    inner = _enter(opened, part, make)
                except OSError as error:
                    if error.errno in NO_FOLDER:
                        raise NameRefused("/".join(gone), "a link, or no folder") from None
                    raise _named(error, "/".join(gone)) from None
                if opened != self._fd:
                    os.close(opened)
                opened = inner
            yield opened
        finally:
            if opened != self._fd:
                os.close(opened)

    @contextmanager
    def reading(self, parts: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """A regular file, open: its descriptor, and its size by now.

        Raises NameRefused for whatever else it is, FileNotFoundError, PermissionError.
        """
        name = "/".join(parts)
        with self.folder(parts[:-1]) as folder:
            try:
                # What is no file is not even opened: that of a device may have effects.
                self._check(name, os.stat(parts[-1], dir_fd=folder, follow_symlinks=False))
                file = os.open(parts[-1], _READ, dir_fd=folder)
            except OSError as error:
                if error.errno in NO_FOLDER:
                    raise NameRefused(name, "a symbolic link") from None
                raise _named(error, name) from None
        try:
            found = os.fstat(file)
            self._check(name, found)
            yield file, found.st_size
        finally:
            os.close(file)

    def write(
        self,
        parts: tuple[str, ...],
        chunks: Iterable[bytes],
        *,
        executable: bool = False,
        durably: bool = False,
    ) -> None:
        """A file, whole or not at all, in the place of whatever file or link has its name. Nobody
        but the owner may read it. An error of `chunks` is raised on.

        Raises NameRefused where a folder has its name or a link is on the way, OSError where the
        disk is full.
        """
        name, partial = "/".join(parts), PARTIAL + secrets.token_hex(8)
        with self.folder(parts[:-1], make=True) as folder:
            try:
                mode = 0o700 if executable else 0o600
                file = os.open(partial, _NEW, mode, dir_fd=folder)
                try:
                    for chunk in chunks:
                        _write_all(file, chunk, name)
                    if durably:
                        os.fsync(file)
                finally:
                    os.close(file)
                os.rename(partial, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException as error:
                with suppress(OSError):
                    os.unlink(partial, dir_fd=folder)
                if isinstance(error, IsADirectoryError):
                    raise NameRefused(name, "a folder has this name") from None
                raise

    def walk(
        self, bounds: WorkspaceBounds, *, skip: Callable[[str], bool] = lambda name: False
    ) -> Iterator[Entry | Refused]:
        """All that is in it, in order of names, a folder before what is inside; what is neither a
        regular file nor a folder, and what the rules for names refuse, as refused. What `skip` says
        of its name, without the folders above, is passed over with all that is inside.

        Raises WorkspaceFull where there is more than `bounds.max_files`.
        """
        return self._walk(self._fd, (), bounds, [0], skip)

    def _walk(
        self,
        folder: int,
        above: tuple[str, ...],
        bounds: WorkspaceBounds,
        seen: list[int],
        skip: Callable[[str], bool],
    ) -> Iterator[Entry | Refused]:
        for part in _listed(folder, bounds, seen, skip):
            parts = (*above, part)
            try:
                parts_of("/".join(parts), max_depth=bounds.max_depth)
                found = os.stat(part, dir_fd=folder, follow_symlinks=False)
                is_folder = stat.S_ISDIR(found.st_mode)
                if not is_folder:
                    self._check("/".join(parts), found)
            except NameRefused as error:
                yield error.refused
                continue
            except FileNotFoundError:
                continue
            yield Entry(
                parts,
                is_folder,
                0 if is_folder else found.st_size,
                bool(found.st_mode & 0o111),
                int(found.st_mtime),
            )
            if not is_folder:
                continue
            try:
                inner = os.open(part, FOLDER, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Refused(shown("/".join(parts)), _why_closed(error))
                continue
            try:
                yield from self._walk(inner, parts, bounds, seen, skip)
            finally:
                os.close(inner)

    def _check(self, name: str, found: os.stat_result) -> None:
        """Raises NameRefused for what is no regular file."""
        what = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        if what is None and found.st_nlink > 1 and not self._hard_links:
            what = "a hard link"
        if what is not None:
            raise NameRefused(name, what)


def chunks_of(file: int, most: int) -> Iterator[bytes]:
    """What is in an open file, up to `most` bytes."""
    left = most
    while left > 0 and (chunk := os.read(file, min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _write_all(file: int, chunk: bytes, name: str) -> None:
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(file, view) :]
        except OSError as error:
            raise _named(error, name) from None


def _enter(folder: int, part: str, make: bool) -> int:
    try:
        return os.open(part, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=folder)
    return os.open(part, FOLDER, dir_fd=folder)


def _listed(
    folder: int, bounds: WorkspaceBounds, seen: list[int], skip: Callable[[str], bool]
) -> list[str]:
    """The names in a folder, without what is not yet written whole, and without what is skipped."""
    found: list[str] = []
    with os.scandir(folder) as entries:
        for each in entries:
            if each.name.startswith(PARTIAL) or skip(each.name):
                continue
            seen[0] += 1
            if seen[0] > bounds.max_files:
                raise WorkspaceFull(
                    f"the workspace holds more than {bounds.max_files:,} files and folders: write"
                    f" fewer, or give it more ({bounds.said[1]})"
                )
            found.append(each.name)
    return sorted(found)


def _named(error: OSError, name: str) -> OSError:
    """The error, with the name in the workspace in place of one part of it."""
    return type(error)(error.errno, error.strerror, shown(name))


def _why_closed(error: OSError) -> str:
    if error.errno in NO_FOLDER:
        return "a link, or no folder"
    return f"it cannot be read ({error.strerror})"
