"""Which files are tables, told from their names. Pure."""

from pathlib import PurePath
from typing import Literal

Kind = Literal["csv", "jsonl", "json", "yaml", "workbook", "parquet", "lines"]

_KINDS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".psv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".xlsx": "workbook",
    ".xlsm": "workbook",
    ".xlsb": "workbook",
    ".xls": "workbook",
    ".ods": "workbook",
    ".parquet": "parquet",
}
# Lists and logs, that hold a row a line where a person says so.
_LINES = frozenset({".txt", ".log", ".list", ".lst", ""})


def kind_of(name: str) -> Kind | None:
    """The kind of table that a file of this name holds, gzipped (`.gz`) or not; None for others.

    A `.json` or YAML file may hold something else than a list, which only its content tells.
    """
    return _KINDS.get(suffix_of(name))


def kind_as_rows(name: str) -> Kind | None:
    """The same where a person said that rows are meant: of a text file its lines."""
    suffix = suffix_of(name)
    return _KINDS.get(suffix) or ("lines" if suffix in _LINES else None)


def is_packed(name: str) -> bool:
    """Whether a file of this name is a table that is no text as it stands: gzipped, or a format of
    its own."""
    kind = kind_of(name)
    zipped = PurePath(name).suffix.lower() == ".gz"
    return kind in ("workbook", "parquet") or (kind is not None and zipped)


def suffix_of(name: str) -> str:
    """A name's suffix in small letters, below `.gz`."""
    path = PurePath(name)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.suffix.lower()
