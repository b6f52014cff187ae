"""Sources into items: files, folders, globs, lines of standard input, rows of data files.

Only names are collected here, and the rows of data files read. The text of a file is read when its
item starts, so that ten thousand files are not held at once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.items.extraction import read_text
from prefect_governor.flows.items.folders import (
    folder_files,
    glob_files,
    has_magic,
    key_of,
    named_in_utf8,
)
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.keys import Keys
from prefect_governor.flows.items.reading import AS_IT_IS, Reading
from prefect_governor.flows.items.rows import apart, row_item, table_items, table_kind
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.spool import is_spooled, spooled_items
from prefect_governor.flows.items.tables.kinds import kind_of
from prefect_governor.flows.items.tables.row import row_of

__all__ = [
    "Document",
    "Item",
    "Skipped",
    "items_from",
    "items_of_value",
    "iter_sources",
    "read_text",
    "resolve_sources",
]

STDIN = "-"


def resolve_sources(
    sources: Sequence[str],
    *,
    stdin: TextIO | None = None,
    cwd: Path | str | None = None,
    skipped: list[Skipped] | None = None,
    whole_folders: bool = False,
    reading: Reading = AS_IT_IS,
    said: list[str] | None = None,
) -> list[Item]:
    """The items of `sources`, in their order; within a folder or glob sorted by path.

    A source is a file, a folder (read recursively), a glob (`**` goes any depth), `-` (a line of
    `stdin` an item). Tables are a row an item, named or found: `.csv`, `.tsv`, `.jsonl`, `.ndjson`,
    a list in `.json`, `.xlsx`, `.xls`, `.ods`, `.parquet`, each gzipped too; `.yaml` and `.yml`
    where they are named, or by a glob that ends so. A file's key is its path relative to `cwd`
    (default: the working directory), absolute outside it; a row's its `key`, else its `id`, else
    `file:line`; a line's `stdin:line`. A key that a row of another file has is `file:key`.

    Folders and globs leave out hidden and binary files, empty ones, links to folders, what is in
    `node_modules` and `__pycache__`, and folders what their `.gitignore` names; `skipped` is told
    of each. A file that is named is an item whatever it holds, and fails by name when it is read.

    With `whole_folders` a folder is one item, named or matched by a glob, in place of the files in
    it. `reading` says how files are read, but for those that hold spooled items; `said` is told how
    tables were.

    Raises ConfigurationError, in one line that says what to do, for a source that is missing, empty
    or unreadable, and for two items of one key.
    """
    return list(
        iter_sources(
            sources,
            stdin=stdin,
            cwd=cwd,
            skipped=skipped,
            whole_folders=whole_folders,
            reading=reading,
            said=said,
        )
    )


def iter_sources(
    sources: Sequence[str],
    *,
    stdin: TextIO | None = None,
    cwd: Path | str | None = None,
    skipped: list[Skipped] | None = None,
    whole_folders: bool = False,
    reading: Reading = AS_IT_IS,
    said: list[str] | None = None,
) -> Iterator[Item]:
    """The items of `resolve_sources`, each as it is read."""
    base = Path(cwd) if cwd is not None else Path.cwd()
    base = Path(os.path.abspath(base))
    if not sources:
        raise ConfigurationError(
            "no source was given: name files, folders, globs or a table such as .jsonl, .csv, .xlsx"
        )
    left_out: list[Skipped] = [] if skipped is None else skipped
    notes: list[str] = [] if said is None else said
    with Keys() as keys:
        for source in sources:
            for item, place in _items_of(
                source, base, stdin, left_out, notes, whole_folders, reading
            ):
                yield _claimed(keys, item, place)


def items_from(
    values: Iterable[Any],
    *,
    whole_folders: bool = False,
    skipped: list[Skipped] | None = None,
    reading: Reading = AS_IT_IS,
    said: list[str] | None = None,
) -> list[Item]:
    """Items of Python values: a str is a text, a Path a file or the rows of a table (a folder: its
    files, or itself with `whole_folders`), a mapping a row (`key` or `id`, and `text` or `content`,
    else its fields), an Item itself.

    What has no key gets `item-0001` and so on, by its place. `skipped` is told of what a folder
    holds that is no item, `said` how tables were read. Raises ConfigurationError for no values, for
    a value of another type, and for two items of one key.
    """
    if isinstance(values, (str, bytes, Mapping, Path)):
        raise ConfigurationError(
            f"items must be a list of items, not one {type(values).__name__}: put it in [...]"
        )
    given = list(values)
    if not given:
        raise ConfigurationError("there are no items: give at least one")
    width = max(4, len(str(len(given))))
    found: list[Item] = []
    with Keys() as keys:
        for at, value in enumerate(given, 1):
            name = f"item-{at:0{width}d}"
            found += items_of_value(
                value,
                name,
                at,
                keys=keys,
                whole_folders=whole_folders,
                skipped=skipped,
                reading=reading,
                said=said,
            )
    return found


def items_of_value(
    value: Any,
    name: str,
    at: int,
    *,
    keys: Keys,
    whole_folders: bool = False,
    skipped: list[Skipped] | None = None,
    reading: Reading = AS_IT_IS,
    said: list[str] | None = None,
) -> Iterator[Item]:
    """The items of one Python value, the `at`th of all, called `name` where it has no key; several
    of a table, and of a folder that is not taken as a whole. Their keys join `keys`. Raises
    ConfigurationError for another type, and for a key that is taken."""
    left_out = [] if skipped is None else skipped
    notes = [] if said is None else said
    for item, place in _given(value, name, at, whole_folders, left_out, reading, notes):
        yield _claimed(keys, item, place)


def _given(
    value: Any,
    name: str,
    at: int,
    whole_folders: bool,
    skipped: list[Skipped],
    reading: Reading,
    said: list[str],
) -> Iterator[tuple[Item, str]]:
    """The items of one Python value, each with the place that gave it."""
    place = f"item {at}"
    if isinstance(value, Item):
        yield value, place
    elif isinstance(value, os.PathLike):
        base = Path.cwd()
        path = base / Path(value)
        folder = os.path.isdir(path)
        if folder and whole_folders:
            yield _folder_item(path, base), place
            return
        if not folder and not _is_there(path):
            raise ConfigurationError(f"{place}: there is no file {os.fspath(value)}")
        paths = folder_files(path, str(value), base, skipped, reading) if folder else [path]
        for each in paths:
            yield from _file_items(
                each, base, reading, skipped, said, place, named=not folder, yaml=False
            )
    elif isinstance(value, (str, Mapping)):
        try:
            yield row_item(row_of(value), name), place
        except ValueError as error:
            raise ConfigurationError(f"{place}: {error}") from None
    else:
        raise ConfigurationError(
            f"{place} is a {type(value).__name__}: give a str (a text), a Path (a file),"
            " a mapping (a row) or an Item"
        )


def _claimed(keys: Keys, item: Item, place: str) -> Item:
    """An item under a key of its own."""
    if item.source is None and item.folder is None:
        key = apart(item.key, place, keys)
        item = item if key == item.key else item.model_copy(update={"key": key})
    _claim(keys, item.key, place)
    return item


def _claim(keys: Keys, key: str, place: str) -> None:
    taken = keys.claim(key, place)
    if taken is not None:
        where = f"by {taken} and by {place}" if taken != place else f"twice by {place}"
        raise ConfigurationError(
            f"two items have the key {key!r}, given {where}: keys tell results apart, so give each"
            " item once, or a key of its own"
        )


def _items_of(
    source: str,
    base: Path,
    stdin: TextIO | None,
    skipped: list[Skipped],
    said: list[str],
    whole_folders: bool,
    reading: Reading,
) -> Iterator[tuple[Item, str]]:
    """The items of one source, each with the place that gave it."""
    if source == STDIN:
        yield from _lines(stdin)
        return
    if not source.strip() or "\0" in source:
        raise ConfigurationError(f"{source!r} names no source: give a file, a folder or a glob")
    path = base / os.path.expanduser(source)
    if is_spooled(path):
        for item in spooled_items(path, skipped, said):
            yield item, repr(source)
        return
    if not named_in_utf8(path):
        raise ConfigurationError(f"the name of {key_of(path, base)!r} is not UTF-8: rename it")
    if os.path.isdir(path):
        paths = [path] if whole_folders else folder_files(path, source, base, skipped, reading)
    elif _is_there(path):
        paths = [path]
    elif has_magic(source):
        paths = glob_files(source, base, skipped, reading, whole_folders=whole_folders)
    else:
        raise ConfigurationError(
            f"there is no file or folder {source!r} (looked in {base}): check its name"
        )
    found = os.path.isdir(path) or not _is_there(path)
    rows_are_meant = not found or kind_of(source) is not None
    for each in paths:
        if whole_folders and os.path.isdir(each):
            yield _folder_item(each, base), repr(source)
        else:
            yield from _file_items(
                each,
                base,
                reading,
                skipped,
                said,
                repr(source),
                named=rows_are_meant,
                yaml=rows_are_meant,
            )


def _file_items(
    path: Path,
    base: Path,
    reading: Reading,
    skipped: list[Skipped],
    said: list[str],
    source: str,
    *,
    named: bool,
    yaml: bool,
) -> Iterator[tuple[Item, str]]:
    """A file as an item, or its rows; each with the place that gave it. `named`: a person named it;
    `yaml`: YAML is meant to hold rows."""
    kind = table_kind(path, reading, yaml=yaml)
    if kind is None:
        yield _file_item(path, base), source
    else:
        name = key_of(path, base)
        yield from table_items(path, name, kind, reading, skipped, said, named=named)


def _is_there(path: Path) -> bool:
    """Whether something has this name: a link that leads nowhere, or a file in a closed folder,
    is there, and fails by name when it is read."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _lines(stdin: TextIO | None) -> Iterator[tuple[Item, str]]:
    if stdin is None:
        raise ConfigurationError("'-' reads lines from standard input, and there is none here")
    number = 0
    count = 0
    try:
        for number, line in enumerate(stdin, 1):
            text = line.strip()
            # In the C locale a byte that is not UTF-8 comes as half a character.
            text.encode()
            if text:
                count += 1
                yield Item(key=f"stdin:{number}", text=text), f"line {number} of standard input"
    except UnicodeError:
        raise ConfigurationError(
            f"standard input is not UTF-8 text at or after line {max(number, 1)}: convert it first"
        ) from None
    if not count:
        raise ConfigurationError(
            "standard input is empty: '-' takes a line an item (was it read before, with '-' named"
            " twice?)"
        )


def _file_item(path: Path, base: Path) -> Item:
    return Item(key=key_of(path, base), source=os.path.normpath(path))


def _folder_item(path: Path, base: Path) -> Item:
    """A folder as one item, named as a file is."""
    return Item(key=key_of(path, base), folder=os.path.normpath(path))
