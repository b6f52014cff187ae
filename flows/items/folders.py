"""The files that a folder or a glob stands for: sorted, without what holds no text for people."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.extraction import SNIFFED_BYTES, looks_binary
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.trees import UNREAD_FOLDERS

# Files of these kinds hold no text, whatever their first bytes look like.
_BINARY = """
    .7z .a .avi .bin .bmp .bz2 .class .db .dll .dylib .egg .eot .exe .flac .gif .gz .ico .jar
    .jpeg .jpg .lib .m4a .mkv .mov .mp3 .mp4 .mpeg .o .obj .ogg .otf .parquet .pickle .pkl .png
    .pyc .pyd .pyo .rar .so .sqlite .sqlite3 .tar .tgz .tif .tiff .ttf .wasm .wav .webm .webp .whl
    .woff .woff2 .xz .zip .zst
"""
_BINARY_SUFFIXES = frozenset(_BINARY.split())
_MAGIC = re.compile(r"[*?\[]")


def key_of(path: Path, base: Path) -> str:
    """A file's path with `/`: relative to `base`, absolute outside it."""
    normal = Path(os.path.normpath(path))
    name = normal.relative_to(base) if normal.is_relative_to(base) else normal
    return name.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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
    """The files below a folder. Raises ConfigurationError where there is none."""
    before = len(skipped)
    paths = [each for each in _walk(path, base, skipped) if _readable(each, base, skipped)]
    if not paths:
        raise ConfigurationError(
            f"the folder {source!r} holds no text files{_left_out(skipped[before:])}:"
            " name another, or the files themselves"
        )
    return paths


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
        left_out: list[Skipped] = []

        def matches(path: Path) -> bool:
            return _matches(path.relative_to(root).parts, wanted)

        whole = matches if whole_folders else None
        for each in _walk(root, base, left_out, depth=depth, hidden=hidden, whole=whole):
            if os.path.isdir(each) or (matches(each) and _readable(each, base, skipped)):
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
    skipped: list[Skipped],
    *,
    depth: int | None = None,
    hidden: bool = False,
    whole: Callable[[Path], bool] | None = None,
) -> Iterator[Path]:
    """The files below `root`, sorted by path. Links to folders are not followed: no loops. A folder
    that is to be taken as a `whole` stands for what is in it."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        skipped.append(
            Skipped(key=key_of(root, base), reason=f"cannot be listed: {error.strerror}")
        )
        return
    for entry in entries:
        path = root / entry.name
        if entry.name.startswith(".") and not hidden:
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name in UNREAD_FOLDERS:
                skipped.append(
                    Skipped(key=key_of(path, base), reason="holds nothing that people wrote")
                )
            elif entry.name == ".git":
                continue
            elif whole is not None and whole(path):
                yield path
            elif depth is None or depth > 1:
                below = None if depth is None else depth - 1
                yield from _walk(path, base, skipped, depth=below, hidden=hidden, whole=whole)
        elif entry.is_symlink() and os.path.isdir(path):
            skipped.append(Skipped(key=key_of(path, base), reason="a link to a folder"))
        else:
            yield path


def _readable(path: Path, base: Path, skipped: list[Skipped]) -> bool:
    """Whether a file found by a folder or glob is worth an item; tells why not.

    One that may not be opened is an item, which fails by name: leaving it out would hide it.
    """
    reason = _unreadable(path)
    if reason is not None:
        skipped.append(Skipped(key=key_of(path, base), reason=reason))
    return reason is None


def _unreadable(path: Path) -> str | None:
    if not named_in_utf8(path):
        return "its name is not UTF-8"
    if path.suffix.lower() in _BINARY_SUFFIXES:
        return "binary"
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return "not a regular file"
        if found.st_size == 0:
            return "empty"
        with path.open("rb") as file:
            head = file.read(SNIFFED_BYTES)
    except PermissionError:
        return None
    except OSError as error:
        return f"a link that leads nowhere ({error.strerror})" if path.is_symlink() else None
    known = path.suffix.lower() in {".pdf", ".docx"} or head.startswith(b"%PDF-")
    return "binary" if looks_binary(head) and not known else None
