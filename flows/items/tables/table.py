"""The rows of a file, one by one; flat in memory but for workbooks and YAML."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.tables.delimited import delimited_records
from prefect_governor.flows.items.tables.jsons import array_records, is_array_of_rows, line_records
from prefect_governor.flows.items.tables.kinds import Kind
from prefect_governor.flows.items.tables.parquet import parquet_records
from prefect_governor.flows.items.tables.records import (
    BadRecord,
    HowRead,
    NotATable,
    Record,
    Records,
    Telling,
)
from prefect_governor.flows.items.tables.row import Columns, Row, row_of
from prefect_governor.flows.items.tables.streams import bounded_lines, opened_file, opened_text
from prefect_governor.flows.items.tables.workbooks import workbook_records
from prefect_governor.flows.items.tables.yamls import yaml_records

# A list of columns is cut after so many.
_MOST_NAMES = 20
# All rows of these have the columns of the first.
_OF_ONE_HEADER = frozenset({"csv", "workbook", "parquet"})


def rows_of(
    path: Path, name: str, kind: Kind, how: HowRead, telling: Telling
) -> Iterator[tuple[str, Row]]:
    """The rows of a file in its order, each with its place (`name:line`); `name` is what messages
    call it, `telling` is told what a person should know.

    Raises NotATable for a file that holds no rows; ConfigurationError, as `name:line: why`, for a
    row that cannot be read, but with `skip_bad_rows`.
    """
    columns = Columns(how.text_column, how.key_column, lone=True)
    count, last = 0, ""
    for record in _records(path, name, kind, how, telling):
        if isinstance(record, Record):
            try:
                row = row_of(record.value, columns)
            except ValueError as error:
                record = BadRecord(record.place, str(error))
            else:
                count += 1
                # A file, or a sheet of one.
                part = record.place.rpartition(":")[0]
                if part != last:
                    _check_columns(part, kind, record.value, columns)
                    telling.said.extend(_columns_said(part, row))
                    last = part
                yield record.place, row
                continue
        if not how.skip_bad_rows:
            raise ConfigurationError(
                f"{record.place}: {record.why} (--skip-bad-rows leaves such rows out, by name)"
            )
        telling.left_out.append((record.place, record.why))
    if telling.blank:
        rows = (
            "1 blank row is no item"
            if telling.blank == 1
            else f"{telling.blank:,} blank rows are no items"
        )
        telling.said.append(f"{name}: {rows}")
    if not count:
        raise NotATable(name, "holds no rows: a row is an item, so give at least one", joint=" ")


def _check_columns(name: str, kind: Kind, value: Any, columns: Columns) -> None:
    """Raises NotATable where a table with a header has not the columns that were asked for."""
    if kind not in _OF_ONE_HEADER:
        return
    there = {each.lower() for each in value}
    for option, wanted in (("--text-column", columns.text), ("--key-column", columns.key)):
        if wanted is not None and wanted.strip().lower() not in there:
            raise NotATable(name, f"has no column {wanted!r} ({option}): it has {_listed(value)}")


def _columns_said(name: str, row: Row) -> Iterator[str]:
    if row.columns is not None:
        yield f"{name}: of each row these columns are asked about: {_listed(row.columns)}"


def _listed(names: Iterable[str]) -> str:
    all_names = [" ".join(each.split()) for each in names]
    more = len(all_names) - _MOST_NAMES
    shown = ", ".join(each[:40] for each in all_names[:_MOST_NAMES])
    return f"{shown} and {more:,} more" if more > 0 else shown


def _lines(stream: TextIO, name: str) -> Records:
    """A line a row, as it stands; blank ones are none."""
    for number, line in enumerate(bounded_lines(stream, name), 1):
        if line.strip():
            yield Record(f"{name}:{number}", line.rstrip("\r\n"))


def holds_rows(path: Path) -> bool:
    """Whether a JSON file begins as a list of objects or texts does."""
    try:
        with opened_text(path, path.name, Telling(), encoding=None, newline="\n") as stream:
            return is_array_of_rows(stream)
    except (NotATable, UnicodeError):
        # It is a file, which fails by name where it cannot be read.
        return False


def _records(path: Path, name: str, kind: Kind, how: HowRead, telling: Telling) -> Records:
    if kind == "workbook":
        with opened_file(path, name) as file:
            yield from workbook_records(file, name, telling)
    elif kind == "parquet":
        with opened_file(path, name) as file:
            yield from parquet_records(file, name)
    else:
        # CSV and lists have the line ends of any system; JSON strings may hold others than "\n".
        newline = "" if kind in ("csv", "lines") else "\n"
        with opened_text(path, name, telling, encoding=how.encoding, newline=newline) as stream:
            if kind == "csv":
                yield from delimited_records(stream, name, how, telling)
            elif kind == "jsonl":
                yield from line_records(stream, name)
            elif kind == "json":
                yield from array_records(stream, name)
            elif kind == "yaml":
                yield from yaml_records(stream, name)
            else:
                yield from _lines(stream, name)
