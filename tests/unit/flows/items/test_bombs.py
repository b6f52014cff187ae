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
from prefect_governor.flows.items.tables.extent import check_extent
from prefect_governor.flows.items.tables.records import NotATable


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
