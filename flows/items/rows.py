"""The rows of a table as items."""

from collections.abc import Iterator
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.keys import Keys
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.tables.kinds import Kind, kind_as_rows, kind_of
from prefect_governor.flows.items.tables.records import NotATable, Telling
from prefect_governor.flows.items.tables.row import Row
from prefect_governor.flows.items.tables.table import holds_rows, rows_of


def table_kind(path: Path, reading: Reading, *, yaml: bool) -> Kind | None:
    """The kind of table that a file is read as; None for one that is asked about as one text.

    YAML holds settings more often than rows: it is a table where `yaml` is meant to be, named by
    itself or by a glob that ends so. JSON is one where it is a list of objects or texts.
    """
    if reading.as_ == "text":
        return None
    kind = kind_as_rows(path.name) if reading.as_ == "rows" else kind_of(path.name)
    if kind == "yaml" and not yaml and reading.as_ != "rows":
        return None
    if kind == "json" and reading.as_ != "rows" and not holds_rows(path):
        return None
    return kind


def table_items(
    path: Path,
    name: str,
    kind: Kind,
    reading: Reading,
    skipped: list[Skipped],
    said: list[str],
    *,
    named: bool,
) -> Iterator[tuple[Item, str]]:
    """The items of a table, each with its place. `skipped` and `said` are told of the file when it
    is read to its end.

    Raises ConfigurationError for a row that cannot be read, and for a file that is no table. One
    that was not `named` but found in a folder is skipped instead, all of it: the others are not
    held up by it, and none of its rows is asked about as if it were whole.
    """
    if not named and (reason := _unreadable(path, name, kind, reading)) is not None:
        skipped.append(Skipped(key=name, reason=reason))
        return
    telling = Telling()
    for place, row in rows_of(path, name, kind, reading, telling):
        yield row_item(row, place, telling.notes), place
    said.extend(telling.said)
    skipped.extend(Skipped(key=place, reason=why) for place, why in telling.left_out)


def _unreadable(path: Path, name: str, kind: Kind, reading: Reading) -> str | None:
    """Why a table cannot be read to its end."""
    try:
        for _ in rows_of(path, name, kind, reading, Telling()):
            pass
    except NotATable as error:
        return error.why
    except ConfigurationError as error:
        return str(error)
    return None


def row_item(row: Row, name: str, notes: tuple[str, ...] = ()) -> Item:
    """A row as an item; `name` where it has no key."""
    return Item(key=row.key or name, text=row.text, data=row.data, notes=notes)


def apart(key: str, place: str, keys: Keys) -> str:
    """A row's key; with its file's (or sheet's) name before it where a row of another has it."""
    taken = keys.place_of(key)
    file = place.rpartition(":")[0]
    if not file or taken is None or taken.rpartition(":")[0] == file:
        return key
    return f"{file}:{key}"
