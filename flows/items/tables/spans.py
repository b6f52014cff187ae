"""Where the cells of an .ods and of an old .xls stand, told before they are read."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

# A sheet's first row and column and its last, from 0.
Span = tuple[int, int, int, int]

# By the prefixes that every program writes, and the library that reads sheets goes by.
_CELLS = ("table:table-cell", "table:covered-table-cell")
_ROW, _SHEET = "table:table-row", "table:table"
_ROWS, _COLUMNS = "table:number-rows-repeated", "table:number-columns-repeated"
_EMPTY = frozenset(("table:style-name", "table:content-validation-name", _COLUMNS))
_MOST_REPEATED = 2**31
_BAD_CHARACTER = 14

# Records of an old workbook ([MS-XLS] 2.3.1): a sheet begins, and cells, whose row and column stand
# first. In those of several cells the last column stands at the end.
_BEGINS = 0x0809
_OF_SEVERAL = frozenset((0x00BD, 0x00BE))
_OF_ONE = frozenset((0x0006, 0x00FD, 0x0201, 0x0203, 0x0204, 0x0205, 0x027E, 0x0003, 0x0004))
_RECORD_BYTES = 4


class BadSheet(ValueError):
    """What is no sheet."""


@dataclass
class _Sheet:
    """What is seen of a sheet of an .ods."""

    row: int = 0
    column: int = 0
    rows: int = 1
    # Of the row that is read: its first cell that holds something, and its last.
    left: int | None = None
    right: int = 0
    span: Span | None = None

    def cell(self, repeated: int, *, empty: bool) -> None:
        if not empty:
            self.left = self.column if self.left is None else self.left
            self.right = self.column + repeated - 1
        self.column += repeated

    def end_row(self) -> None:
        if self.left is not None:
            last = self.row + self.rows - 1
            top, left, _, right = self.span or (self.row, self.left, last, self.right)
            self.span = (top, min(left, self.left), last, max(right, self.right))
        self.row += self.rows
        self.column, self.left = 0, None


def opendocument_spans(file: IO[bytes]) -> Iterator[Span]:
    """Those of the sheets in an .ods' content. Raises BadSheet."""
    open_sheets: list[_Sheet] = []
    found: list[Span] = []
    # A cell is empty until something stands in it.
    cell: list[tuple[int, bool]] = []

    def begin(name: str, given: dict[str, str]) -> None:
        if name == _SHEET:
            open_sheets.append(_Sheet())
        elif name == _ROW and open_sheets:
            open_sheets[-1].rows = _repeated(given, _ROWS)
        elif name in _CELLS:
            cell.append((_repeated(given, _COLUMNS), _EMPTY.issuperset(given)))
        elif cell:
            cell[-1] = (cell[-1][0], False)

    def end(name: str) -> None:
        if name in _CELLS and cell:
            repeated, empty = cell.pop()
            if open_sheets:
                open_sheets[-1].cell(repeated, empty=empty)
        elif name == _ROW and open_sheets:
            open_sheets[-1].end_row()
        elif name == _SHEET and open_sheets and (span := open_sheets.pop().span) is not None:
            found.append(span)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    _parse(parser, file)
    return iter(found)


def check_xml(file: IO[bytes]) -> None:
    """Raises BadSheet for a part of a workbook whose elements do not end as they begin: the library
    that reads sheets looks for their ends for ever, where nothing can stop it."""
    try:
        _parse(expat.ParserCreate(), file)
    except BadSheet as error:
        cause = error.__cause__
        # A character that XML does not have is written by some exporters, and read past.
        if not isinstance(cause, expat.ExpatError) or cause.code != _BAD_CHARACTER:
            raise


def _parse(parser: expat.XMLParserType, file: IO[bytes]) -> None:
    parser.EntityDeclHandler = _no_entity
    try:
        parser.ParseFile(file)
    except expat.ExpatError as error:
        raise BadSheet(f"it is no XML: {error}") from error


def _repeated(given: dict[str, str], name: str) -> int:
    value = given.get(name, "1")
    if not value.strip().isdecimal() or len(value) > 20:
        raise BadSheet(f"a cell or row stands {value[:20]!r} times")
    return min(max(1, int(value)), _MOST_REPEATED)


def _no_entity(*_: Any) -> None:
    raise BadSheet("it declares entities")


def binary_spans(path: Path) -> Iterator[Span]:
    """Those of the sheets in an old workbook; none where it holds no workbook. Raises BadSheet."""
    import olefile

    try:
        with olefile.OleFileIO(path) as storage:
            for name in ("Workbook", "Book"):
                if storage.exists(name):
                    data = storage.openstream(name).read()
                    break
            else:
                return
    except (OSError, ValueError, IndexError, struct.error, TypeError, AttributeError) as error:
        raise BadSheet(f"{type(error).__name__}: {error}") from None
    yield from _spans_of(data)


def _spans_of(data: bytes) -> Iterator[Span]:
    span: Span | None = None
    at = 0
    while at + _RECORD_BYTES <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        at += _RECORD_BYTES
        if kind == _BEGINS and span is not None:
            yield span
            span = None
        elif kind in _OF_ONE or kind in _OF_SEVERAL:
            if size < _RECORD_BYTES or at + size > len(data):
                break
            row, column = struct.unpack_from("<HH", data, at)
            last = column
            if kind in _OF_SEVERAL:
                last = max(column, struct.unpack_from("<H", data, at + size - 2)[0])
            top, left, bottom, right = span or (row, column, row, last)
            span = (min(top, row), min(left, column), max(bottom, row), max(right, last))
        at += size
    if span is not None:
        yield span
