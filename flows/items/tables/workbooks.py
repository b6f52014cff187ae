"""Workbooks (XLSX, XLS, ODS) as records: the rows of every sheet that is not hidden."""

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_governor.flows.items.tables.extent import check_extent, check_old_extent
from prefect_governor.flows.items.tables.formulas import formulas_without_value
from prefect_governor.flows.items.tables.header import Header, NoHeader, header_of
from prefect_governor.flows.items.tables.records import NotATable, Record, Records, Telling

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

# A workbook is a zip that is read into memory: this bounds what it may become there.
MAX_UNPACKED_BYTES = 512 * 2**20
# A workbook keeps so many digits of a number: https://support.microsoft.com/office/1672b34d
_DIGITS = 15
_ROUNDED = (
    "holds numbers of more than 15 digits, which a workbook rounds: keep long ids in text cells"
)
_UNRECKONED = (
    "formulas without a stored value, which read as empty: open the workbook in a spreadsheet"
    " program and save it"
)
_ROUNDED_NUMBER = re.compile(r"-?\d(\.\d+)?e\+\d+\Z")
_SAMPLE_ROWS = 200
_STORAGE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Of a broken zip, and of what stands in one.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


def workbook_records(path: Path, name: str, telling: Telling) -> Records:
    """Each row as a mapping by the names in its sheet's header, which is the first row that is as
    wide as the table. Values are texts as a person sees them; days and times as ISO 8601 has them.

    Raises NotATable for what cannot be opened, by what is needed.
    """
    workbook = _opened(path, name)
    with _reading(path, name):
        empty = formulas_without_value(path)
    if empty:
        telling.said.append(f"{name}: {empty:,} {_UNRECKONED}")
    try:
        with _reading(path, name):
            sheets = _visible(workbook, name, telling)
        single = len(sheets) == 1
        for sheet in sheets:
            part = name if single else f"{name}:{sheet.name}"
            with _reading(path, part):
                rows = list(_numbered(sheet))
            yield from _sheet_records(rows, part, telling)
    finally:
        workbook.close()


def _opened(path: Path, name: str) -> "CalamineWorkbook":
    from python_calamine import CalamineWorkbook

    with _reading(path, name):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(part.file_size for part in archive.infolist())
                if unpacked > MAX_UNPACKED_BYTES:
                    raise NotATable(
                        name,
                        f"{unpacked:,} bytes unpacked, at most {MAX_UNPACKED_BYTES:,} are read of a"
                        " workbook: save its sheets as .csv",
                    )
                check_extent(archive, name)
        elif _is_old(path):
            check_old_extent(path, name)
        return CalamineWorkbook.from_path(path)


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Raises NotATable for whatever is wrong with a workbook."""
    from python_calamine import CalamineError, PasswordError

    try:
        yield
    except PasswordError:
        raise NotATable(
            name, "the workbook is protected by a password: save a copy without one"
        ) from None
    except (CalamineError, *_BROKEN) as error:
        raise _broken(path, name, error) from None
    except BaseException as error:
        # What its reader in Rust did not expect is no Exception of Python's.
        if type(error).__name__ != "PanicException":
            raise
        raise _broken(path, name, error) from None


def _broken(path: Path, name: str, error: BaseException) -> NotATable:
    why = " ".join(str(error).split())
    return NotATable(name, f"not a workbook, or a broken one ({why}){_disguise(path)}")


def _is_old(path: Path) -> bool:
    """Whether a file is a storage of Microsoft's, as Office wrote them before 2007."""
    with path.open("rb") as file:
        return file.read(len(_STORAGE)) == _STORAGE


def _disguise(path: Path) -> str:
    """What a file may be that only its name calls a workbook."""
    with path.open("rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] == b"<":
        return ": it is HTML or XML by its first bytes: save it as .xlsx"
    if head and b"\0" not in head and b"\n" in head:
        return ": it is text by its first bytes: name it .csv or .tsv"
    return ""


def _visible(workbook: "CalamineWorkbook", name: str, telling: Telling) -> list["CalamineSheet"]:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    found = []
    for sheet in workbook.sheets_metadata:
        if sheet.typ is not SheetTypeEnum.WorkSheet:
            telling.left_out.append((f"{name}:{sheet.name}", "a sheet that holds no cells"))
        elif sheet.visible is not SheetVisibleEnum.Visible:
            telling.left_out.append((f"{name}:{sheet.name}", "a hidden sheet"))
        else:
            found.append(workbook.get_sheet_by_name(sheet.name))
    empty = [sheet for sheet in found if not sheet.height]
    telling.left_out += [(f"{name}:{sheet.name}", "an empty sheet") for sheet in empty]
    return [sheet for sheet in found if sheet.height]


def _sheet_records(rows: Sequence[tuple[int, list[str]]], name: str, telling: Telling) -> Records:
    first = _header_row([fields for _, fields in rows[:_SAMPLE_ROWS]])
    for line, fields in rows[:first]:
        if words := " ".join(each for each in fields if each):
            telling.said.append(f"{name}: {words[:80]!r} above the header (row {line}) is no row")
    if first == len(rows):
        return
    place = f"{name}:{rows[first][0]}"
    try:
        below = [fields for _, fields in rows[first + 1 : first + 1 + _SAMPLE_ROWS]]
        header = header_of(rows[first][1], below)
    except NoHeader as error:
        raise NotATable(
            place, f"no header: a row above the rows must name the columns, and {error}"
        ) from None
    telling.said.extend(f"{name}: {each}" for each in header.said)
    if any(_ROUNDED_NUMBER.match(each) for _, fields in rows for each in fields):
        telling.said.append(f"{name} {_ROUNDED}")
    for line, fields in rows[first + 1 :]:
        if any(each.strip() for each in fields):
            yield Record(f"{name}:{line}", _mapped(header, fields))
        else:
            telling.blank += 1


def _mapped(header: Header, fields: Sequence[str]) -> dict[str, str]:
    return {
        each: fields[at]
        for at, each in enumerate(header.names)
        if at != header.index
        and at < len(fields)
        and (fields[at].strip() or not each.startswith("column "))
    }


def _header_row(rows: Sequence[Sequence[str]]) -> int:
    """The place of the first row as wide as most of the sheet: what is above it is a title."""
    widths = [sum(bool(each.strip()) for each in fields) for fields in rows]
    usual = max(widths, default=0)
    for at, width in enumerate(widths):
        # A header may lack a name, as pandas' index does.
        if width and width * 2 > usual:
            return at
    return len(rows)


def _numbered(sheet: "CalamineSheet") -> Iterator[tuple[int, list[str]]]:
    first = sheet.start[0] if sheet.start else 0
    for line, cells in enumerate(sheet.to_python(skip_empty_area=True), first + 1):
        yield line, [shown(cell) for cell in cells]


def shown(cell: Any) -> str:
    """A cell's value as a person reads it."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        # More digits than a workbook keeps are the noise of binary fractions.
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.{_DIGITS}g}"
    if isinstance(cell, datetime.timedelta):
        seconds = round(cell.total_seconds())
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return str(cell)
