"""How far the sheets of a workbook reach, told before they are read."""

import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prefect_governor.flows.items.tables.records import NotATable
from prefect_governor.flows.items.tables.spans import (
    BadSheet,
    Span,
    binary_spans,
    check_xml,
    opendocument_spans,
)

# A sheet is read as the whole rectangle between its first and its last cell, at 32 bytes a cell:
# one forgotten cell in a far corner of an .xlsx of 3 KB stands for 17 thousand million of them, for
# which the process that asks for the memory is ended. A full sheet of so many cells is no smaller
# than what is unpacked of a workbook at the most.
MAX_CELLS = 25_000_000
_CHUNK_BYTES = 2**20
# Of an .ods.
_CONTENT = "content.xml"
# The longest that may be cut between two chunks.
_REFERENCE_BYTES = 64
_REFERENCE = re.compile(rb"[\s]r\s*=\s*[\"']([A-Za-z]{1,3})(\d{1,7})[\"']")
_ROW_OF_CELLS, _LAST_CELL = 0, 11


def check_extent(archive: zipfile.ZipFile, name: str) -> None:
    """Raises NotATable for sheets whose cells stand too far apart to be read, all together."""
    _check((reach for part in archive.infolist() for reach in _extents_of(archive, part)), name)


def check_old_extent(path: Path, name: str) -> None:
    """The same for a workbook that is no zip, if it is one."""
    _check(map(_reach, binary_spans(path)), name)


def _check(reaches: Iterator[tuple[int, int]], name: str) -> None:
    cells = 0
    try:
        for rows, columns in reaches:
            cells += rows * columns
            if cells > MAX_CELLS:
                more = "" if cells == rows * columns else " with the sheets before it"
                raise NotATable(
                    name,
                    f"a sheet reaches over {rows:,} rows and {columns:,} columns,{more} more than"
                    f" {MAX_CELLS:,} cells (a forgotten one far out?): delete what is beyond the"
                    " table, or save the sheet as .csv",
                )
    except BadSheet as error:
        raise NotATable(name, f"not a workbook, or a broken one ({error})") from None


def _reach(span: Span) -> tuple[int, int]:
    top, left, bottom, right = span
    return bottom - top + 1, right - left + 1


def _extents_of(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[tuple[int, int]]:
    """Rows and columns between a sheet's first cell and its last; none of another part."""
    if part.filename == _CONTENT:
        with archive.open(part) as file:
            yield from map(_reach, opendocument_spans(file))
        return
    if part.filename.lower().endswith((".xml", ".rels")):
        with archive.open(part) as file:
            check_xml(file)
    with archive.open(part) as file:
        reach = _extent_of(file, part.filename)
    if reach is not None:
        yield reach


def _extent_of(file: IO[bytes], part: str) -> tuple[int, int] | None:
    low = part.lower()
    if low.endswith(".bin") and "/worksheets/" in low:
        return _spanned(_binary_cells(file))
    if not low.endswith(".xml"):
        return None
    head = file.read(_CHUNK_BYTES)
    return _spanned(_cells(head, file)) if b"sheetData" in head else None


def _spanned(cells: Iterator[tuple[int, int]]) -> tuple[int, int] | None:
    first = next(cells, None)
    if first is None:
        return None
    (top, left), (bottom, right) = first, first
    for row, column in cells:
        top, bottom = min(top, row), max(bottom, row)
        left, right = min(left, column), max(right, column)
    return bottom - top + 1, right - left + 1


def _cells(head: bytes, file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Places that span all cells of a sheet in XML."""
    chunk = head
    while chunk:
        found = _REFERENCE.findall(chunk)
        if found:
            rows = {int(row) for _, row in found}
            columns = {_number(letters) for letters in {letters for letters, _ in found}}
            yield min(rows), min(columns)
            yield max(rows), max(columns)
        more = file.read(_CHUNK_BYTES)
        chunk = chunk[-_REFERENCE_BYTES:] + more if more else b""


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _binary_cells(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """The cells of a sheet of an .xlsb ([MS-XLSB] 2.1.4: records of a type, a length, and so many
    bytes; a row's number stands in the record before its cells)."""
    row = 0
    while (kind := _varying(file, 2)) is not None and (size := _varying(file, 4)) is not None:
        data = file.read(size)
        if len(data) < 4:
            continue
        if kind == _ROW_OF_CELLS:
            row = struct.unpack_from("<I", data)[0]
        elif kind <= _LAST_CELL:
            yield row, struct.unpack_from("<I", data)[0]


def _varying(file: IO[bytes], most: int) -> int | None:
    value = 0
    for at in range(most):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * at)
        if byte[0] < 0x80:
            break
    return value
