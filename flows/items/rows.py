"""The rows of a data file: JSON Lines, CSV or YAML."""

import csv
import datetime
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.reading import AS_IT_IS, Reading
from prefect_governor.flows.items.skipped import Skipped

ROW_SUFFIXES = frozenset({".jsonl", ".csv", ".yaml", ".yml"})

_KEYS = ("key", "id")
_TEXTS = ("text", "content")
# A YAML file of a few lines can stand for billions of nodes: a row is refused beyond so many.
_MOST_NODES = 100_000
_DEEPEST = 60
_MOST_FIELD_CHARACTERS = 50 * 2**20
# What PyYAML raises, beside its own errors, for a text that is not what its tag says (`!!bool x`).
NOT_OF_ITS_TAG = (AttributeError, LookupError)


@dataclass(frozen=True)
class Row:
    """A row of a data file. `line` is where it begins, from 1; `data` is fit for JSON."""

    line: int
    key: str | None
    text: str
    data: dict[str, Any] | None


def read_rows(
    path: Path, name: str, reading: Reading = AS_IT_IS, skipped: list[Skipped] | None = None
) -> list[Row]:
    """The rows of a file, in its order, as `reading` says; `name` is what messages call it.
    `skipped` is told of rows that are left out.

    Files are UTF-8 (or UTF-16 with a byte order mark). Raises ConfigurationError, as
    `name:line: why`, for a row that cannot be read, and for a file without rows.
    """
    text = _text_of(path, name)
    suffix = path.suffix.lower()
    read = {".jsonl": _jsonl, ".csv": _csv}.get(suffix, _yaml)
    rows = list(read(text, name))
    if not rows:
        raise ConfigurationError(f"{name} holds no rows: a row is an item, so give at least one")
    return rows


def row_of(value: Any, line: int) -> Row:
    """A row of a mapping, or of a text. Raises ValueError, with the reason, for anything else."""
    if isinstance(value, str):
        return Row(line, None, _sound(value), None)
    if not isinstance(value, Mapping):
        raise ValueError(f"a row must be an object with fields, or a text, not {_named(value)}")
    data = _Plain().value(dict(value), 0)
    text = next((data[each] for each in _TEXTS if isinstance(data.get(each), str)), None)
    if all(_is_blank(each) for name, each in data.items() if name != "key"):
        # Its item fails by name: nothing is paid for a question about the names of fields.
        text = ""
    elif text is None or not text.strip():
        text = "\n".join(
            f"{name}: {each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)}"
            for name, each in data.items()
            if name != "key"
        )
    return Row(line, _key_of(data), text, data)


def _key_of(data: Mapping[str, Any]) -> str | None:
    for name in _KEYS:
        if data.get(name) is None or data[name] == "":
            continue
        value = data[name]
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"{name!r} must be a text or a number, not {_named(value)}")
        key = str(value).strip()
        if not key or any(character in key for character in "\r\n\0"):
            raise ValueError(f"{name!r} must be one line that is not blank")
        return key
    return None


def _is_blank(value: Any) -> bool:
    """Whether a field says nothing."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping):
        return all(map(_is_blank, value.values()))
    return value is None or (isinstance(value, list) and all(map(_is_blank, value)))


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


def _text_of(path: Path, name: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{name}:{line}: not {error.encoding.upper()} text (byte 0x{data[error.start]:02x}):"
            " save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _bad(name, line, "a NUL: the file is binary, or UTF-16 without a mark")
    return text


def _bad(name: str, line: int, why: object) -> ConfigurationError:
    return ConfigurationError(f"{name}:{line}: {why}")


def _jsonl(text: str, name: str) -> Iterator[Row]:
    # Only "\n" ends a line: JSON strings may hold the other line ends of Unicode.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield row_of(json.loads(line, parse_constant=_refuse_constant), number)
        except json.JSONDecodeError as error:
            raise _bad(
                name, number, f"not JSON: {error.msg} at column {error.colno}; a line is one object"
            ) from None
        except RecursionError:
            raise _bad(name, number, "nested too deeply") from None
        except ValueError as error:
            raise _bad(name, number, error) from None


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number that JSON has")


def _csv(text: str, name: str) -> Iterator[Row]:
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    # The limit is the process's; the default of 128 KiB is less than a document may be.
    csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for fields in reader:
            if fields and header is None:
                header = _header(fields, name, line)
            elif fields and header is not None:
                if len(fields) != len(header):
                    raise ValueError(
                        f"{len(fields)} fields where the header has {len(header)}: quote a field"
                        f" that holds {delimiter!r} or a line end"
                    )
                yield row_of(dict(zip(header, fields, strict=True)), line)
            line = reader.line_num + 1
    except (csv.Error, ValueError) as error:
        raise _bad(name, line, error) from None


def _header(fields: list[str], name: str, line: int) -> list[str]:
    header = [field.strip() for field in fields]
    if any(not field for field in header) or len(set(header)) < len(header):
        problem = "a blank name" if "" in header else "the same name twice"
    elif any(_is_number(field) for field in header):
        problem = "a number as a name"
    else:
        return header
    raise ValueError(f"no header: the first line must name the columns, and has {problem}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml(text: str, name: str) -> Iterator[Row]:
    import yaml

    # Nodes first, values one by one: a node knows its line.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.SequenceNode):
            raise _bad(
                name, root.start_mark.line + 1, "not a list: write a row an entry (- key: …)"
            )
        for node in root.value:
            line = node.start_mark.line + 1
            try:
                yield row_of(_constructed(loader, node), line)
            except RecursionError:
                raise _bad(name, line, "nested too deeply") from None
            except ValueError as error:
                raise _bad(name, line, error) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise _bad(name, line, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise _bad(name, 1, f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise _bad(name, 1, "nested too deeply") from None
    finally:
        loader.dispose()


def _constructed(loader: Any, node: Any) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except NOT_OF_ITS_TAG:
        raise ValueError("a value is not what its tag (!!…) says") from None
