"""The files that a folder or a glob stands for: sorted, without what holds no text for people."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.documents.formats.kinds import reason_unread
from prefect_governor.flows.items.encodings import is_binary
from prefect_governor.flows.items.encodings.binary import SNIFFED_BYTES
from prefect_governor.flows.items.ignoring import Ignoring
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.tables.kinds import is_packed
from prefect_governor.flows.items.trees import UNREAD_FOLDERS

# Why what is hidden is left out: a file, and the files of a folder.
_HIDDEN = ("hidden: its name begins with a dot", "in a hidden folder")
# So many files of a folder that is left out are named one by one.
MOST_NAMED = 1_000
_MAGIC = re.compile(r"[*?\[]")


def key_of(path: Path, base: Path) -> str:
    """A file's path with `/`: relative to `base`, absolute outside it."""
    normal = Path(os.path.normpath(path))
    name = normal.relative_to(base) if normal.is_relative_to(base) else normal
    return name.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def named_in_utf8(path: Path) -> bool:
    """Whether a path can travel as JSON."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def has_magic(source: str) -> bool:
    """Whether a source is a pattern."""
    return _MAGIC.search(source) is not None


def folder_files(
    path: Path, source: str, base: Path, skipped: list[Skipped], reading: Reading
) -> list[Path]:
    """The files below a folder; `skipped` is told of all others. Raises ConfigurationError where
    there is none."""
    before = len(skipped)
    # `../other` is not below the folder that it is seen from, nor under its rules.
    path = Path(os.path.normpath(path))
    ignoring = Ignoring.above(path) if reading.gitignore else None
    found = _walk(path, base, ignoring=ignoring)
    paths = [each for each, why in found if _taken(each, why, base, skipped, reading)]
    if not paths:
        raise ConfigurationError(
            f"the folder {source!r} holds no text files{_left_out(skipped[before:])}:"
            " name another, or the files themselves"
        )
    return paths


def _taken(
    path: Path, why: str | None, base: Path, skipped: list[Skipped], reading: Reading
) -> bool:
    """Whether a file found by a folder or glob is worth an item; tells why not.

    One that may not be opened is an item, which fails by name: leaving it out would hide it.
    """
    why = why or _unreadable(path, reading)
    if why is not None:
        skipped.append(Skipped(key=key_of(path, base), reason=why))
    return why is None


def _left_out(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f" (left out: {skipped[0].key}, {skipped[0].reason}{more})"


def glob_files(
    source: str,
    base: Path,
    skipped: list[Skipped],
    reading: Reading,
    *,
    whole_folders: bool = False,
) -> list[Path]:
    """The files that a pattern matches; with `whole_folders` the folders as well, in place of all
    that is in them. Raises ConfigurationError where there is none."""
    pattern = Path(os.path.expanduser(source))
    parts = pattern.parts
    fixed = next(at for at, part in enumerate(parts) if _MAGIC.search(part))
    root = base.joinpath(*parts[:fixed])
    wanted = parts[fixed:]
    hidden = any(part.startswith(".") for part in wanted)
    before = len(skipped)
    paths: list[Path] = []
    if os.path.isdir(root):
        depth = None if "**" in wanted else len(wanted)

        def matches(path: Path) -> bool:
            return _matches(path.relative_to(root).parts, wanted)

        whole = matches if whole_folders else None
        for each, why in _walk(root, base, depth=depth, hidden=hidden, whole=whole):
            # A name with a dot before it is matched by one with a dot alone, as in a shell.
            if why in _HIDDEN:
                continue
            if (why is None and os.path.isdir(each)) or (
                matches(each) and _taken(each, why, base, skipped, reading)
            ):
                paths.append(each)
    if not paths:
        what = "file or folder" if whole_folders else "text file"
        raise ConfigurationError(
            f"no {what} matches {source!r} (looked in {base}){_left_out(skipped[before:])}:"
            " check the pattern, and quote it so that the shell leaves it alone"
        )
    return paths


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path's parts match a pattern's; `**` stands for any number of folders."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        if len(wanted) == 1:
            return bool(parts)
        return any(_matches(parts[at:], wanted[1:]) for at in range(len(parts)))
    return (
        bool(parts)
        and re.match(translate(wanted[0]), parts[0]) is not None
        and _matches(parts[1:], wanted[1:])
    )


def _walk(
    root: Path,
    base: Path,
    *,
    depth: int | None = None,
    hidden: bool = False,
    whole: Callable[[Path], bool] | None = None,
    ignoring: Ignoring | None = None,
) -> Iterator[tuple[Path, str | None]]:
    """All that is below `root`, sorted by path, each with the reason why it is left out, None where
    there is none yet. Links to folders are not followed: no loops. A folder that is to be taken as
    a `whole` stands for what is in it."""
    if ignoring is not None:
        ignoring = ignoring.within(root)
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        yield root, f"a folder that cannot be listed: {error.strerror}"
        return
    for entry in entries:
        path = root / entry.name
        folder = entry.is_dir(follow_symlinks=False)
        if (why := _why_not(path, base, folder, hidden, ignoring)) is not None:
            yield from _below(path, why) if folder else iter([(path, why)])
        elif folder and whole is not None and whole(path):
            yield path, None
        elif folder:
            if depth is None or depth > 1:
                below = None if depth is None else depth - 1
                yield from _walk(
                    path, base, depth=below, hidden=hidden, whole=whole, ignoring=ignoring
                )
        elif entry.is_symlink() and os.path.isdir(path):
            yield path, "a link to a folder"
        else:
            yield path, None


def _why_not(
    path: Path, base: Path, folder: bool, hidden: bool, ignoring: Ignoring | None
) -> str | None:
    """Why a file, or a folder with all that is in it, is left out by its name."""
    if path.name == ".git" or (path.name.startswith(".") and not hidden):
        return _HIDDEN[folder]
    if folder and path.name in UNREAD_FOLDERS:
        return f"in {path.name}, which holds nothing that people wrote"
    if ignoring is None or (by := ignoring.file_that_names(path, folder=folder)) is None:
        return None
    return f"named by {key_of(by, base)} (--no-gitignore reads it)"


def _below(folder: Path, why: str) -> Iterator[tuple[Path, str]]:
    """The files of a folder that is left out, by name; of more than a person reads the folder with
    their number."""
    most = 0
    for at, names in _listed(folder):
        for name in names:
            most += 1
            if most <= MOST_NAMED:
                yield at / name, why
    if most > MOST_NAMED:
        yield folder, f"{most - MOST_NAMED:,} more files in it: {why}"


def _listed(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for at, folders, names in os.walk(folder):
        folders.sort()
        links = [each for each in folders if os.path.islink(os.path.join(at, each))]
        yield Path(at), sorted([*names, *links])


def _unreadable(path: Path, reading: Reading) -> str | None:
    if not named_in_utf8(path):
        return "its name is not UTF-8: rename it"
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return f"not a regular file ({_kind(found.st_mode)})"
        if found.st_size == 0:
            return "empty"
        with path.open("rb") as file:
            head = file.read(SNIFFED_BYTES)
    except PermissionError:
        return None
    except OSError as error:
        return f"a link that leads nowhere ({error.strerror})" if path.is_symlink() else None
    if is_packed(path.name):
        return None
    binary = is_binary(head, encoding=reading.encoding)
    return reason_unread(path.suffix, head, is_binary=binary)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
