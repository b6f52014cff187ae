"""A provider's usage export, CSV or JSON lines, as rows of evidence. Columns go by the names that
providers give them."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.reconcile import MOST, Evidence, Left

_IDS = (
    "request_id",
    "x_request_id",
    "client_request_id",
    "x_client_request_id",
    "call_id",
    "id",
)
_MODEL = ("model", "model_name", "model_id", "model_version")
_INPUT = ("input_tokens", "prompt_tokens", "n_context_tokens_total", "prompt_token_count")
_OUTPUT = ("output_tokens", "completion_tokens", "n_generated_tokens_total")
_CACHED = ("cached_input_tokens", "input_cached_tokens", "cached_tokens")
_WRITTEN = ("cache_write_tokens", "cache_write_input_tokens")
# Anthropic's: beside `input_tokens`, not part of them.
_READ_BESIDE = ("cache_read_input_tokens",)
_WRITTEN_BESIDE = ("cache_creation_input_tokens",)
_TIER = ("service_tier",)
_COST = ("cost_usd", "cost", "amount_usd", "amount", "total_cost", "cost_in_usd", "spend")
_CURRENCY = ("currency", "amount_currency")
_DELIMITERS = ",;\t|"


def read_export(path: Path, *, may_be_empty: bool = False) -> tuple[list[Evidence], list[Left]]:
    """The rows of an export, and those that cannot be read, each with the reason.

    A `.jsonl` (or `.ndjson`) file has an object a line, whose fields may be nested; anything else
    is CSV with a header. A row without a request id is evidence of no call. `may_be_empty`: one
    without rows is no mistake, as of a day without calls.

    Raises ConfigurationError: the file cannot be read, or names no calls.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text: export it as CSV or JSONL") from None
    rows: list[Evidence] = []
    problems: list[Left] = []
    seen: set[str] = set()
    is_lines = path.suffix.lower() in (".jsonl", ".ndjson")
    for number, fields in _objects(text) if is_lines else _records(text, path):
        where = f"{path.name} line {number}"
        if isinstance(fields, str):
            problems.append(Left(where, fields))
            continue
        seen |= fields.keys()
        try:
            rows.append(_evidence(where, fields))
        except ValueError as error:
            problems.append(Left(where, str(error)))
    if seen and not seen & set(_IDS):
        raise ConfigurationError(
            f"{path} does not say which call a row is: it needs one of {', '.join(_IDS)}; it has"
            f" {', '.join(sorted(seen))}"
        )
    if not rows and not problems and not may_be_empty:
        raise ConfigurationError(f"{path} has no rows")
    return rows, problems


def _records(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    head = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for record in reader:
            if None in record:
                yield reader.line_num, "it has more fields than the header"
                continue
            yield reader.line_num, {_name(key): value for key, value in record.items()}
    except csv.Error as error:
        raise ConfigurationError(f"{path} is not CSV (line {reader.line_num}): {error}") from None


def _objects(text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_float=Decimal)
        except (ValueError, RecursionError):
            yield number, "it is not JSON"
            continue
        yield number, _flat(found) if isinstance(found, dict) else "it is not an object"


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their own names, wherever they stand; the outermost of a name counts."""
    fields: dict[str, Any] = {}
    level: list[Mapping[str, Any]] = [found]
    while level:
        deeper: list[Mapping[str, Any]] = []
        for each in level:
            for key, value in each.items():
                if isinstance(value, dict):
                    deeper.append(value)
                elif value is not None:
                    fields.setdefault(_name(key), value)
        level = deeper
    return fields


def _name(key: str) -> str:
    return re.sub(r"[\s\-.]+", "_", key.strip().lower())


def _evidence(where: str, fields: Mapping[str, Any]) -> Evidence:
    """Raises ValueError for a figure that cannot be read."""
    currency = _text(fields, _CURRENCY)
    if currency is not None and currency.lower() not in ("usd", "$"):
        raise ValueError(f"its currency is {currency!r}, not USD")
    fresh, output = _count(fields, _INPUT), _count(fields, _OUTPUT)
    read, written = _count(fields, _READ_BESIDE) or 0, _count(fields, _WRITTEN_BESIDE) or 0
    tier = _text(fields, _TIER)
    return Evidence(
        where=where,
        ids=tuple(
            dict.fromkeys(text for name in _IDS if (text := _text(fields, (name,))) is not None)
        ),
        cost_usd=_cost(fields),
        model=_text(fields, _MODEL),
        input_tokens=None if fresh is None else fresh + read + written,
        output_tokens=output,
        cached_input_tokens=read or _count(fields, _CACHED) or 0,
        cache_write_tokens=written or _count(fields, _WRITTEN) or 0,
        service_tier=tier,
    )


def _text(fields: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        text = str(fields.get(name) if fields.get(name) is not None else "").strip()
        if text:
            return text
    return None


def _count(fields: Mapping[str, Any], names: Iterable[str]) -> int | None:
    text = _text(fields, names)
    if text is None:
        return None
    amount = _number(text)
    if amount != amount.to_integral_value() or not 0 <= amount <= MOST:
        raise ValueError(f"{text!r} is no count of tokens")
    return int(amount)


def _cost(fields: Mapping[str, Any]) -> Decimal | None:
    text = _text(fields, _COST)
    if text is None:
        return None
    amount = _number(text.lstrip("$"))
    if not 0 <= amount <= MOST // 10**9:
        raise ValueError(f"{text!r} is no cost of one call in USD")
    return amount


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a number")
    return number
