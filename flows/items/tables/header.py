"""The names of a table's columns. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Years, as tables of figures have them for columns.
_YEARS = range(1800, 2200)
_INTEGER = re.compile(r"\d{1,9}\Z")
_NUMBER = re.compile(r"[+-]?(\d[\d.,' ]*|[.,]\d+)([eE][+-]?\d+)?\s*%?\Z")
_DATE = re.compile(
    r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T]\d{1,2}:\d{2}.*)?\Z|\d{1,2}:\d{2}(:\d{2})?\Z"
)

# Columns whose names are odd, of which each is told; of more how many they are.
MOST_SAID = 20


class NoHeader(ValueError):
    """A first row that names no columns."""


@dataclass(frozen=True)
class Header:
    """Names, each once. `index` is the place of pandas' nameless index, that is no column."""

    names: tuple[str, ...]
    index: int | None = None
    said: tuple[str, ...] = ()


def header_of(first: Sequence[str], sample: Sequence[Sequence[str]] = ()) -> Header:
    """The columns that a first row names; `sample` are some rows below it.

    A name that stands more than once is numbered, a blank one is called after its place, and a
    first one that is blank over 0, 1, 2, … is the index that pandas writes. Raises NoHeader where
    the row holds values.
    """
    names = [" ".join(name.split()) for name in first]
    while len(names) > 1 and not names[-1]:
        # A comma at the end of each line.
        if any(len(row) >= len(names) and row[len(names) - 1].strip() for row in sample):
            break
        names.pop()
    if not any(names):
        raise NoHeader("it names nothing")
    values = [name for name in names if name and _is_value(name)]
    if values and not _are_names(values, sum(map(bool, names))):
        raise NoHeader(f"it has {values[0]!r}, a value, as a name")
    index = 0 if not names[0] and _counts([row[0] for row in sample if row]) else None
    said = []
    if index is not None:
        said.append("the first column, without a name, counts the rows, and is left out")
    found: dict[str, None] = {}
    # The next number of each name, so that as many of one name are not counted through again.
    numbers: dict[str, int] = {}
    odd: list[str] = []
    for at, name in enumerate(names):
        named = name or f"column {at + 1}"
        if not name and at != index:
            odd.append(f"column {at + 1} has no name")
        if named in found:
            base, again = name or "column", numbers.get(name, 2)
            while (named := f"{base} ({again})") in found:
                again += 1
            numbers[name] = again + 1
            odd.append(f"{name!r} names more than one column: one is {named!r}")
        found[named] = None
    said += odd[:MOST_SAID]
    if len(odd) > MOST_SAID:
        said.append(f"{len(odd) - MOST_SAID:,} more columns have no name, or that of another")
    return Header(tuple(found), index, tuple(said))


def _is_value(name: str) -> bool:
    return bool(_NUMBER.match(name) or _DATE.match(name))


def _are_names(values: Sequence[str], count: int) -> bool:
    """Whether numbers stand for columns: years, or counted from 0 or 1."""
    if not all(_INTEGER.match(value) for value in values) or len(set(values)) < len(values):
        return False
    numbers = [int(value) for value in values]
    if all(number in _YEARS for number in numbers) and (len(values) < count or len(values) > 1):
        return True
    return (
        len(numbers) > 1
        and numbers
        in (
            list(range(len(numbers))),
            list(range(1, len(numbers) + 1)),
        )
        and (len(values) < count or numbers[0] == 0)
    )


def _counts(values: Sequence[str]) -> bool:
    """Whether a column's values count its rows."""
    if not values or not all(_INTEGER.match(value.strip()) for value in values):
        return False
    return [int(value) for value in values] == list(
        range(int(values[0]), int(values[0]) + len(values))
    ) and int(values[0]) in (0, 1)
