"""Delimited text (CSV, TSV and the like) as records."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TextIO

from prefect_governor.flows.items.tables.dialect import (
    Dialect,
    declared,
    delimiter_named,
    dialect_of,
    reader,
    rows_of_sample,
)
from prefect_governor.flows.items.tables.header import Header, NoHeader, header_of
from prefect_governor.flows.items.tables.kinds import suffix_of
from prefect_governor.flows.items.tables.records import (
    BadRecord,
    HowRead,
    NotATable,
    Record,
    Records,
    Telling,
)
from prefect_governor.flows.items.tables.streams import bounded_lines

# What a dialect and a header are told from.
_SAMPLE_LINES = 2_000
_SAMPLE_CHARACTERS = 256 * 1024
_LIKELY = {".tsv": "\t", ".tab": "\t", ".psv": "|"}


def delimited_records(stream: TextIO, name: str, how: HowRead, telling: Telling) -> Records:
    """The rows below the header, each a mapping by the header's names. Rows without a value are
    counted and left out.

    Raises NotATable where there is no header, and for a quote that never ends.
    """
    lines = _Lines(bounded_lines(stream, name))
    sample = lines.sample()
    if not sample:
        return
    if sep := declared(sample[0]):
        lines.drop()
        sample = sample[1:]
    try:
        given = None if how.delimiter is None else delimiter_named(how.delimiter)
    except ValueError as error:
        raise NotATable(name, str(error)) from None
    dialect = dialect_of(sample, delimiter=given or sep, likely=_LIKELY.get(suffix_of(name), ","))
    if dialect.delimiter != ",":
        telling.said.append(
            f"{name} is read with {dialect.shown} between its fields"
            if dialect.shown != "one column"
            else f"{name} is read as one column"
        )
    if dialect.escape:
        telling.said.append(f"{name}: a backslash stands before quotes, and is left out")
    header: Header | None = None
    for line, fields in _rows(lines, dialect):
        place = f"{name}:{line}"
        if isinstance(fields, csv.Error):
            if header is None:
                raise NotATable(place, f"no header: {fields}")
            if "unexpected end of data" in str(fields):
                raise NotATable(place, "a quote begins here and never ends: close or double it")
            yield BadRecord(place, str(fields))
        elif header is None:
            if any(each.strip() for each in fields):
                header = _header(fields, place, sample, dialect)
                telling.said.extend(f"{name}: {each}" for each in header.said)
        elif not fields or (len(fields) > 1 and not any(each.strip() for each in fields)):
            telling.blank += bool(fields)
        elif any("\0" in each for each in fields):
            yield BadRecord(place, "a NUL: the file is binary, or UTF-16 without a mark")
        else:
            yield _record(fields, header, place, dialect)


def _header(fields: Sequence[str], place: str, sample: Sequence[str], dialect: Dialect) -> Header:
    rows = [row for row in rows_of_sample(sample, dialect) if row is not None]
    if any("\0" in each for each in fields):
        raise NotATable(place, "a NUL: the file is binary, or UTF-16 without a mark")
    try:
        return header_of(fields, rows[1:200])
    except NoHeader as error:
        raise NotATable(
            place,
            f"no header: the first line must name the columns, and {error}: add a line of names"
            " above it, such as key,text, or give --as text to ask about the file as one text",
        ) from None


def _record(fields: list[str], header: Header, place: str, dialect: Dialect) -> Record | BadRecord:
    width = len(header.names)
    if any(each.strip() for each in fields[width:]) or (
        len(fields) < width
        and any(not n.startswith("column ") for n in header.names[len(fields) :])
    ):
        return BadRecord(
            place,
            f"{len(fields)} fields where the header has {width}: quote a field that holds"
            f" {dialect.delimiter!r} or a line end",
        )
    return Record(
        place,
        {
            each: value
            for at, (each, value) in enumerate(zip(header.names, fields, strict=False))
            # What no name stands over is told where it is something.
            if at != header.index and (value.strip() or not each.startswith("column "))
        },
    )


@dataclass
class _Lines:
    """The lines of a stream, with their ends; the first ones can be looked at before."""

    stream: Iterator[str]
    dropped: int = 0

    def __post_init__(self) -> None:
        self._ahead: list[str] = []

    def sample(self) -> list[str]:
        size = 0
        for line in islice(self.stream, _SAMPLE_LINES):
            self._ahead.append(line)
            size += len(line)
            if size > _SAMPLE_CHARACTERS:
                break
        return list(self._ahead)

    def drop(self) -> None:
        self._ahead.pop(0)
        self.dropped += 1

    def __iter__(self) -> Iterator[str]:
        return chain(self._ahead, self.stream)


def _rows(lines: _Lines, dialect: Dialect) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each row with the line that it begins on, from 1; or what is wrong with it."""
    rows = reader(iter(lines), dialect)
    while True:
        line = rows.line_num + 1 + lines.dropped
        try:
            fields: list[str] | csv.Error = next(rows)
        except csv.Error as error:
            fields = error
        except StopIteration:
            return
        yield line, fields
