"""Tables that stand for far more than they hold."""

import gzip
import io
import struct
import time
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.sources import resolve_sources
from prefect_governor.flows.items.tables.extent import check_extent, check_old_extent
from prefect_governor.flows.items.tables.records import NotATable
from tests.samples.compound import compound


def workbook(path: Path, far: str) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["A2"], sheet[far] = "id", "x", "forgotten"
    book.save(path)
    return path


def test_a_cell_in_a_far_corner_ends_no_process(tmp_path: Path) -> None:
    # The library asks for 512 GiB, and the system ends whoever asks.
    path = workbook(tmp_path / "far.xlsx", "XFD1048576")
    assert path.stat().st_size < 10_000
    with pytest.raises(ConfigurationError, match=r"over 1,048,576 rows and 16,384 columns"):
        resolve_sources([str(path)])


def test_a_forgotten_cell_below_a_table_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path / "low.xlsx", "B20000")
    assert [item.key for item in resolve_sources([str(path)])] == ["x", f"{path}:20000"]


def test_a_far_corner_of_a_binary_workbook_is_seen() -> None:
    def record(kind: int, *numbers: int) -> bytes:
        data = struct.pack(f"<{len(numbers)}I", *numbers)
        return bytes([kind, len(data)]) + data

    sheet = record(0, 0) + record(6, 0, 0) + record(0, 1_048_575) + record(6, 16_383, 0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.bin", sheet)
        with pytest.raises(NotATable, match=r"over 1,048,576 rows and 16,384 columns"):
            check_extent(archive, "far.xlsb")


def ods(path: Path, rows: str) -> Path:
    of = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{of}:office:1.0" xmlns:table="{of}:table:1.0"'
        f' xmlns:text="{of}:text:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="One">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return path


_TEXT = 'office:value-type="string"><text:p>x</text:p></table:table-cell>'
_HEAD = f"<table:table-row><table:table-cell {_TEXT}<table:table-cell {_TEXT}</table:table-row>"


@pytest.mark.parametrize(
    "rows",
    [
        f'{_HEAD}<table:table-row table:number-rows-repeated="1048574"><table:table-cell/>'
        '</table:table-row><table:table-row><table:table-cell table:number-columns-repeated="16383"'
        f"/><table:table-cell {_TEXT}</table:table-row>",
        f'{_HEAD}<table:table-row table:number-rows-repeated="1048575"><table:table-cell'
        f' table:number-columns-repeated="16384" {_TEXT}</table:table-row>',
    ],
    ids=["a cell in a far corner", "a cell that is repeated"],
)
def test_an_open_document_that_stands_for_a_full_sheet_is_refused(
    tmp_path: Path, rows: str
) -> None:
    path = ods(tmp_path / "far.ods", rows)
    assert path.stat().st_size < 10_000
    with pytest.raises(ConfigurationError, match=r"over 1,048,576 rows and 16,384 columns"):
        resolve_sources([str(path)])


def test_empty_rows_and_columns_behind_a_table_are_nothing(tmp_path: Path) -> None:
    # As spreadsheet programs write each sheet to its end.
    empty = '<table:table-cell table:style-name="a" table:number-columns-repeated="16382"/>'
    rows = _HEAD.replace("</table:table-row>", f"{empty}</table:table-row>") * 2
    rows += f'<table:table-row table:number-rows-repeated="1048574">{empty}</table:table-row>'
    path = ods(tmp_path / "usual.ods", rows)
    assert [item.text for item in resolve_sources([str(path)])] == ["x: x\nx (2): x"]


def test_a_workbook_whose_elements_do_not_end_is_refused_and_looked_through_once(
    tmp_path: Path,
) -> None:
    # The library looks for the end for ever, in a call that nothing can stop.
    path = ods(tmp_path / "a.ods", _HEAD)
    for name in ("content.xml", "xl/worksheets/sheet1.xml", "xl/workbook.xml"):
        if name != "content.xml":
            path = workbook(tmp_path / "a.xlsx", "B2")
        with zipfile.ZipFile(path) as archive:
            parts = {each: archive.read(each) for each in archive.namelist()}
        whole = parts[name]
        parts[name] = whole.replace(b"</table:table>", b"</table:Cable>")
        if name != "content.xml":
            parts[name] = whole.replace(b"</sheet", b"</cheet")
        assert parts[name] != whole
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in parts.items():
                archive.writestr(each, data)
        with pytest.raises(ConfigurationError, match="it is no XML: mismatched tag"):
            resolve_sources([str(path)])


def old_workbook(*sheets: tuple[int, int]) -> bytes:
    """An .xls of sheets with a cell in their first place and one in the place that is given."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    begins = struct.pack("<HHHHII", 0x0600, 0x0010, 0x0DBB, 0x07CC, 0, 6)
    stream = record(0x0809, begins.replace(b"\x10\0", b"\x05\0", 1)) + record(0x0A, b"")
    for row, column in sheets:
        stream += record(0x0809, begins)
        for at in ((0, 0), (row, column)):
            stream += record(0x0203, struct.pack("<HHHd", *at, 0, 1.5))
        stream += record(0x0A, b"")
    return compound({"Workbook": stream + bytes(max(0, 4096 - len(stream)))})


def test_old_workbooks_of_many_full_sheets_are_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.xls"
    path.write_bytes(old_workbook((65_535, 255)))
    check_old_extent(path, "old.xls")
    path.write_bytes(old_workbook((65_535, 255), (65_535, 255)))
    with pytest.raises(NotATable, match=r"65,536 rows and 256 columns, with the sheets before it"):
        check_old_extent(path, "old.xls")
    with pytest.raises(ConfigurationError, match="with the sheets before it"):
        resolve_sources([str(path)])


def test_many_sheets_of_a_new_workbook_are_counted_together(tmp_path: Path) -> None:
    book = Workbook()
    for _ in range(3):
        sheet = book.create_sheet()
        sheet["A1"], sheet["Z400000"] = "id", "forgotten"
    book.save(tmp_path / "many.xlsx")
    with pytest.raises(ConfigurationError, match="with the sheets before it"):
        resolve_sources([str(tmp_path / "many.xlsx")])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.txt.gz"])
def test_a_line_without_an_end_is_refused_before_it_is_held(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with gzip.open(path, "wb", 1) as file:
        file.write(b"id,text\n1,")
        for _ in range(60):
            file.write(b"a" * 2**20)
    with pytest.raises(ConfigurationError, match=f"{name}:2: a line of over 52,428,800 characters"):
        resolve_sources([str(path)], reading=Reading(as_="rows"))


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 200_000], ids=["flow", "block"])
def test_a_deep_yaml_is_refused_and_holds_nobody_up(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigurationError, match=r"a\.yaml:1: nested too deeply"):
        resolve_sources([str(path)])
    assert time.process_time() - began < 5
