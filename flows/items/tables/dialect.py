"""How delimited text is written, told from some of its rows. Pure.

The delimiter is the one under which the most rows have as many fields as the header, quotes
respected; of several alike, the one with the most fields. A character that does not stand in the
header is none: commas in prose, and in numbers, are not asked.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t", "|")
# Where there is one column, no character of a text stands between fields.
NONE = "\x1f"
# The first line that Excel writes and reads: which character stands between fields.
_SEP = re.compile(r'"?sep=(.)"?\r?\n?\Z', re.IGNORECASE)
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_MOST_FIELD_CHARACTERS = 50 * 2**20


@dataclass(frozen=True)
class Dialect:
    """`escape` is what stands before a quote within quotes, None where it is doubled."""

    delimiter: str
    escape: str | None = None

    @property
    def shown(self) -> str:
        if self.delimiter == NONE:
            return "one column"
        return {"\t": "a tab"}.get(self.delimiter, repr(self.delimiter))


def delimiter_named(given: str) -> str:
    """The character that a person means. Raises ValueError for what can be none."""
    found = _NAMED.get(given.lower(), given)
    if len(found) != 1 or found in '"\r\n\0' or found.isalnum():
        raise ValueError(
            f"a delimiter is one character such as ',', ';', '|' or tab, not {given!r}"
        )
    return found


def declared(line: str) -> str | None:
    """The delimiter that a first line declares (`sep=;`), None for another line."""
    found = _SEP.match(line)
    return None if found is None else found[1]


def dialect_of(lines: Sequence[str], *, delimiter: str | None = None, likely: str = ",") -> Dialect:
    """The dialect of a sample of whole lines; `delimiter` is what was said, `likely` decides
    between what fits alike."""
    best = _best(lines, None, delimiter, likely)
    if best[0] < 1 and any('\\"' in line for line in lines):
        escaped = _best(lines, "\\", delimiter, likely)
        if escaped[:2] > best[:2]:
            best = escaped
    return best[2]


def _best(
    lines: Sequence[str], escape: str | None, delimiter: str | None, likely: str
) -> tuple[float, int, Dialect]:
    best = (0.0, 1, Dialect(delimiter or NONE, escape))
    marks = (delimiter,) if delimiter else sorted(DELIMITERS, key=lambda mark: mark != likely)
    for mark in marks:
        dialect = Dialect(mark, escape)
        rows = rows_of_sample(lines, dialect)
        header = rows[0] if rows else None
        width = 0 if header is None else _width(header)
        if header is not None and (width > 1 or delimiter):
            # The header agrees with itself: one that no row agrees with is still a header.
            share = sum(row is not None and _fits(row, header) for row in rows) / len(rows)
            if (share, width) > best[:2]:
                best = (share, width, dialect)
    return best


def rows_of_sample(lines: Sequence[str], dialect: Dialect) -> list[list[str] | None]:
    """The rows of a sample that say something; None for one that cannot be read."""
    rows = reader(iter(lines), dialect)
    found: list[list[str] | None] = []
    while True:
        try:
            fields = next(rows)
        except csv.Error:
            found.append(None)
        except StopIteration:
            return found
        else:
            if any(each.strip() for each in fields):
                found.append(fields)


def reader(lines: Iterator[str], dialect: Dialect) -> "Reader":
    """A strict reader: what stands beside quotes, and a quote that never ends, are errors."""
    # The limit is the process's; the default of 128 KiB is less than a document may be.
    csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        doublequote=dialect.escape is None,
        escapechar=dialect.escape,
        strict=True,
    )


def _width(row: Sequence[str]) -> int:
    width = len(row)
    while width > 1 and not row[width - 1].strip():
        width -= 1
    return width


def _fits(row: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row has as many fields as the header, blank ones at the end of either aside."""
    return _width(header) <= len(row) and (len(row) <= len(header) or _width(row) <= len(header))
