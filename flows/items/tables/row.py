"""A row: what is asked about, and what it is called."""

import datetime
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect_governor.flows.items.tables.jsons import Written

_KEYS = ("key", "id")
_TEXTS = ("text", "content")
# A YAML file of a few lines can stand for billions of nodes: a row is refused beyond so many.
_MOST_NODES = 100_000
_DEEPEST = 60


@dataclass(frozen=True)
class Row:
    """A row of a table. `key` is None where it names none; `data` is fit for JSON; `columns` are
    the names of those that its text is made of, None where it is one of them alone."""

    key: str | None
    text: str
    data: dict[str, Any] | None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns are a row's text and its key; None for those that are usual.

    With `lone` a `text` (or `content`) is the row's text only where it has nothing else to say;
    without, whatever stands beside it.
    """

    text: str | None = None
    key: str | None = None
    lone: bool = False


USUAL = Columns()


def row_of(value: Any, columns: Columns = USUAL) -> Row:
    """A row of a mapping, or of a text. Raises ValueError, with the reason, for anything else."""
    if isinstance(value, str):
        return Row(None, _sound(value), None)
    if not isinstance(value, Mapping):
        raise ValueError(f"a row must be an object with fields, or a text, not {_named(value)}")
    data = _Plain().value(dict(value), 0)
    key = _key_of(data, columns)
    if columns.text is not None:
        chosen = data.get(_found(data, columns.text))
        return Row(key, "" if _is_blank(chosen) else _shown(chosen), data)
    fields = {name: each for name, each in data.items() if name.lower() != "key"}
    if all(map(_is_blank, fields.values())):
        # Its item fails by name: nothing is paid for a question about the names of fields.
        return Row(key, "", data)
    alone = _text_alone(fields, columns)
    if alone is not None:
        return Row(key, alone, data)
    lines = [f"{name}: {_shown(each)}" for name, each in fields.items()]
    return Row(key, "\n".join(lines), data, tuple(fields))


def _text_alone(fields: Mapping[str, Any], columns: Columns) -> str | None:
    """The text that is all that a row says, or all that is asked about it."""
    for name in _TEXTS:
        found = _found(fields, name)
        text = fields.get(found)
        if not isinstance(text, str) or not text.strip():
            continue
        beside = [each for each in fields if each != found and each.lower() not in _KEYS]
        if columns.lone and beside:
            continue
        return text
    return None


def _key_of(data: Mapping[str, Any], columns: Columns) -> str | None:
    for wanted in _KEYS if columns.key is None else (columns.key,):
        name = _found(data, wanted)
        if data.get(name) is None or data[name] == "":
            continue
        value = data[name]
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"{name!r} must be a text or a number, not {_named(value)}")
        key = _shown(value).strip()
        if not key:
            raise ValueError(f"{name!r} must be one line that is not blank")
        if any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in key):
            raise ValueError(f"{name!r} must be one line without control characters, not {key!r}")
        return key
    return None


def _found(data: Mapping[str, Any], wanted: str) -> str:
    """A field's name as it is written, in capitals or not; else the wanted one."""
    if wanted in data:
        return wanted
    low = wanted.strip().lower()
    return next((name for name in data if name.lower() == low), wanted)


def _is_blank(value: Any) -> bool:
    """Whether a field says nothing."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping):
        return all(map(_is_blank, value.values()))
    return value is None or (isinstance(value, list) and all(map(_is_blank, value)))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.written if isinstance(value, Written) else json.dumps(value, ensure_ascii=False)


class _Plain:
    """Makes a value fit for JSON; counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def value(self, value: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            raise ValueError(f"the row has over {_MOST_NODES:,} values or {_DEEPEST} levels")
        if isinstance(value, str):
            return _sound(value)
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{value} is not a number that JSON has")
            return value
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, Mapping):
            return {_sound(str(name)): self.value(v, depth + 1) for name, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each, depth + 1) for each in value]
        raise ValueError(f"a value of a row must be text, number, list or object, not {value!r}")


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"half a character (a lone surrogate) at place {error.start + 1}"
        ) from None
    return text


def _named(value: Any) -> str:
    if value is None:
        return "null"
    names = {list: "a list", dict: "an object", bool: "true or false", int: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
