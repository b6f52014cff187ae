"""A provider's export of costs by the day, as evidence of what was spent. No call is named in it.

Read are: the pages of OpenAI's `GET /v1/organization/costs` and of Anthropic's
`GET /v1/organizations/cost_report`, as JSON; the CSV of costs that either's console gives; and any
CSV with the columns `day`, `usd` and, if one likes, `model`.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError

_MODEL = ("model", "line_item", "description")
_DAY = ("day", "date", "usage_date_utc", "start_time_iso", "starting_at", "start_time")
_USD = ("usd", "cost_usd", "amount_value")
_CURRENCY = ("currency", "amount_currency")
_FORMS = (
    "CSV with `day` (2026-01-31), `usd` and perhaps `model`; OpenAI's CSV of costs (start_time,"
    " amount_value) or Anthropic's (usage_date_utc, cost_usd); or the JSON of OpenAI's"
    " /v1/organization/costs or Anthropic's /v1/organizations/cost_report"
)
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class DayCost:
    """What was billed in a day of UTC's, which began at `day`, for a model where that is said."""

    day: datetime
    usd: Decimal
    model: str | None
    where: str


def read_costs(path: Path) -> list[DayCost]:
    """The costs of an export, in its order; those of 0 left out.

    Raises ConfigurationError, with the line, for what cannot be read: none of it is charged then.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text; it is to be {_FORMS}") from None
    found = []
    try:
        for each in (
            _pages(text, path) if text.lstrip().startswith(("{", "[")) else _rows(text, path)
        ):
            found.append(each)
    except _Wrong as wrong:
        raise ConfigurationError(f"{path.name} {wrong}; it is to be {_FORMS}") from None
    if not found:
        raise ConfigurationError(f"{path} has no rows")
    return [each for each in found if each.usd]


class _Wrong(Exception):
    """Where something is wrong, and what."""


def _rows(text: str, path: Path) -> Iterator[DayCost]:
    head = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [(name or "").strip().lower() for name in reader.fieldnames or []]
    day, usd = _first(names, _DAY), _first(names, _USD)
    if day is None or usd is None:
        raise _Wrong(f"has the columns {', '.join(names) or 'none'}: no day with a cost in USD")
    model, currency = _first(names, _MODEL), _first(names, _CURRENCY)
    reader.fieldnames = names
    for row in reader:
        where = f"line {reader.line_num}"
        if None in row:
            raise _Wrong(f"{where} has more fields than the header")
        _check_currency(row.get(currency or ""), where)
        yield DayCost(
            _day(row[day], where),
            _usd(row[usd], where),
            (row[model] or "").strip() or None if model else None,
            f"{path.name} {where}",
        )


def _pages(text: str, path: Path) -> Iterator[DayCost]:
    try:
        pages = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise _Wrong("is neither JSON nor CSV") from None
    pages = pages if isinstance(pages, list) else [pages]
    for page in pages:
        buckets = page.get("data") if isinstance(page, dict) else None
        if not isinstance(buckets, list):
            raise _Wrong("has no `data` with a list of days")
        if page is pages[-1] and page.get("has_more"):
            raise _Wrong("is not all of it (has_more): put all pages into one list")
        for number, bucket in enumerate(buckets, 1):
            where = f"bucket {number}"
            if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
                raise _Wrong(f"{where} has no `results`")
            began = bucket.get("start_time", bucket.get("starting_at"))
            day = _day(str(began), where)
            for result in bucket["results"]:
                yield _result(result, day, where, path)


def _result(result: Any, day: datetime, where: str, path: Path) -> DayCost:
    if not isinstance(result, Mapping):
        raise _Wrong(f"{where} holds a result that is no object")
    amount, currency = result.get("amount"), result.get("currency")
    if isinstance(amount, Mapping):
        # OpenAI's, in dollars.
        currency, usd = amount.get("currency"), _usd(str(amount.get("value")), where)
    else:
        # Anthropic's, in cents.
        usd = _usd(str(amount), where) / 100
    _check_currency(currency, where)
    model = next((result[name] for name in _MODEL if result.get(name)), None)
    return DayCost(day, usd, None if model is None else str(model), f"{path.name} {where}")


def _first(names: list[str], wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in names), None)


def _check_currency(currency: Any, where: str) -> None:
    if currency and str(currency).strip().lower() not in ("usd", "$"):
        raise _Wrong(f"{where} is in {currency!r}, not USD")


def _day(text: str | None, where: str) -> datetime:
    said = (text or "").strip()
    try:
        if said.isdecimal() and len(said) >= 9:
            found = datetime.fromtimestamp(int(said), timezone.utc)
        else:
            found = datetime.fromisoformat(said.replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        raise _Wrong(f"{where}: {said!r} is no day such as 2026-01-31") from None
    found = found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found
    return found.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def _usd(text: str | None, where: str) -> Decimal:
    said = (text or "").strip().lstrip("$")
    try:
        amount = Decimal(said)
    except InvalidOperation:
        amount = Decimal("NaN")
    # A credit would leave more to be spent than was: it is no cost of a call's.
    if not amount.is_finite() or not 0 <= amount < 10**9:
        raise _Wrong(f"{where}: {said!r} is no cost in USD")
    return amount


def end_of(day: datetime) -> datetime:
    """The last second of a day."""
    return day + timedelta(days=1, seconds=-1)
