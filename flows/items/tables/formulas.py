"""Formulas of a workbook whose values nobody reckoned: a program wrote them, and no spreadsheet
program has saved the file since. Their cells are empty for whoever reads values."""

import re
import zipfile
from pathlib import Path

_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml\Z", re.IGNORECASE)
# A cell with a formula, and no value or an empty one: ECMA-376, 18.3.1.4.
_VALUELESS = re.compile(
    rb"<c\b[^>]*>\s*<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"
)
_END = b"</c>"
_CHUNK_BYTES = 2**20


def formulas_without_value(path: Path) -> int:
    """How many an XLSX holds; 0 for every other file."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        parts = [name for name in archive.namelist() if _SHEET.match(name)]
        return sum(_in_part(archive, name) for name in parts)


def _in_part(archive: zipfile.ZipFile, name: str) -> int:
    count, rest = 0, b""
    with archive.open(name) as part:
        while chunk := part.read(_CHUNK_BYTES):
            whole, end, rest = (rest + chunk).rpartition(_END)
            count += len(_VALUELESS.findall(whole + end))
            # A text may be long, a cell with a formula is not.
            rest = rest[-_CHUNK_BYTES:]
    return count
