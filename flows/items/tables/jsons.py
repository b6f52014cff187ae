"""JSON as records: a value a line, or the elements of one array. Both flat in memory."""

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from prefect_governor.flows.items.tables.records import (
    BadRecord,
    NotATable,
    Record,
    Records,
)
from prefect_governor.flows.items.tables.streams import MOST_CHARACTERS

_CHUNK_CHARACTERS = 256 * 1024
_SPACE = " \t\r\n"
_SPACES = re.compile(f"[{_SPACE}]*")


class Written(float):
    """A number as it is written: 1e5 stays 1e5, 3.50 stays 3.50."""

    def __new__(cls, written: str) -> "Written":
        number = super().__new__(cls, written)
        number.written = written
        return number

    written: str


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number that JSON has")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=Written)


def line_records(stream: TextIO, name: str) -> Records:
    """A JSON value a line. Only `\\n` ends a line: JSON strings may hold the other line ends of
    Unicode."""
    number = 0
    while line := stream.readline(MOST_CHARACTERS + 1):
        number += 1
        place = f"{name}:{number}"
        if len(line) > MOST_CHARACTERS:
            yield BadRecord(place, f"over {MOST_CHARACTERS:,} characters")
            while line and not line.endswith("\n"):
                line = stream.readline(_CHUNK_CHARACTERS)
        elif text := line.strip():
            try:
                yield Record(place, _value(text))
            except ValueError as error:
                yield BadRecord(place, f"{error}; a line is one object")


def _value(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_array_of_rows(stream: TextIO) -> bool:
    """Whether a JSON text begins as a list of objects or texts does."""
    head = stream.read(_CHUNK_CHARACTERS).lstrip(_SPACE + "\ufeff")
    return head.startswith("[") and head[1:].lstrip(_SPACE)[:1] in ("{", '"')


def array_records(stream: TextIO, name: str) -> Records:
    """The elements of one JSON array, read one by one."""
    window = _Window(stream)
    if window.next_mark() != "[":
        raise NotATable(f"{name}:{window.line}", "not a list of rows: it begins otherwise than '['")
    window.step()
    if window.next_mark() == "]":
        window.step()
    else:
        yield from _elements(window, name)
    if window.next_mark():
        raise NotATable(f"{name}:{window.line}", "something stands after the list's end")


def _elements(window: "_Window", name: str) -> Iterator[Record | BadRecord]:
    while True:
        window.next_mark()
        place = f"{name}:{window.line}"
        try:
            yield Record(place, window.value())
        except json.JSONDecodeError as error:
            raise NotATable(f"{name}:{window.line}", f"not JSON: {error.msg}") from None
        except RecursionError:
            raise NotATable(place, "nested too deeply") from None
        except ValueError as error:
            raise NotATable(place, str(error)) from None
        mark = window.next_mark()
        if mark not in (",", "]"):
            raise NotATable(
                f"{name}:{window.line}",
                "the list ends without ']': the file is cut off"
                if not mark
                else f"not JSON: {mark!r} where ',' or ']' is due",
            )
        window.step()
        if mark == "]":
            return


class _Window:
    """A stretch of a text, that moves on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def next_mark(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            end = self._after_space(self._at)
            self._move(end - self._at)
            if end < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def step(self) -> None:
        self._move(1)

    def value(self) -> Any:
        """The next value: one that a comma or a bracket follows, so that none is cut off."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if self._after_space(end) < len(self._text) or not self._more():
                self._move(end - self._at)
                return value

    def _after_space(self, at: int) -> int:
        found = _SPACES.match(self._text, at)
        assert found is not None, "no spaces are spaces too"
        return found.end()

    def _move(self, count: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _more(self) -> bool:
        """Read as much again as there is, so that a long value is not tried too often."""
        if self._ended:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        if len(self._text) > MOST_CHARACTERS:
            raise ValueError(f"a row of over {MOST_CHARACTERS:,} characters")
        more = self._stream.read(max(_CHUNK_CHARACTERS, len(self._text)))
        self._ended = not more
        self._text += more
        return bool(more)
