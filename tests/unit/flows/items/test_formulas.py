"""A formula that nobody reckoned reads as empty: it is counted, to be said."""

import zipfile
from pathlib import Path

import pytest

from prefect_governor.flows.items.tables.formulas import formulas_without_value
from tests.integration.cli.inputs.tables import workbook

EMPTY = '<c r="C2"><f>1+1</f><v /></c>'


def saved(path: Path, *cells: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f"<row>{''.join(cells)}</row>")
    return path


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (EMPTY, 1),
        ('<c r="A1"><f>SUM(A2)</f></c>', 1),
        ('<c r="A1" t="str"><f t="shared" si="0"/><v></v></c>', 1),
        ('<c r="A1"><f>1+1</f><v>2</v></c>', 0),
        ('<c r="A1"><v>2</v></c>', 0),
        ('<c r="A1" t="inlineStr"><is><t>x</t></is></c>', 0),
        ("<cols><col/></cols>", 0),
    ],
)
def test_a_cell_is_counted_where_its_value_is_missing(
    tmp_path: Path, cell: str, count: int
) -> None:
    assert formulas_without_value(saved(tmp_path / "a.xlsx", cell, cell)) == 2 * count


def test_cells_of_a_large_sheet_are_counted_once_each(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", *[f'<c r="A1"><v>{"7" * 90}</v></c>{EMPTY}'] * 20_000)
    assert formulas_without_value(path) == 20_000


def test_a_workbook_of_a_program_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(One=[["key", "n"], ["a", "=1+1"], ["b", 3]]))
    assert formulas_without_value(path) == 1
    path.write_bytes(b"no workbook")
    assert formulas_without_value(path) == 0
