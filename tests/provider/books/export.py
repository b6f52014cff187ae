"""What was billed, as a provider's own usage export: a row a call, in order of billing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import orjson

from tests.provider.books.log import Record

COLUMNS = (
    "request_id",
    "model",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "service_tier",
    "cost_usd",
    "time",
)


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """`cost_usd` is an exact decimal string, `time` in UTC; `request_id` what the client sent as
    x-client-request-id, else the provider's own."""
    billed = [record for record in records if record.billed_at is not None]
    billed.sort(key=lambda record: (record.billed_at, record.sequence))
    return [
        {
            "request_id": record.request_id or f"req_{record.sequence}",
            "model": record.model,
            "input_tokens": record.input,
            "cached_input_tokens": record.cached,
            "cache_write_tokens": record.written,
            "output_tokens": record.output,
            "service_tier": record.tier,
            "cost_usd": f"{Decimal(record.billed_nano).scaleb(-9):f}",
            "time": datetime.fromtimestamp(record.billed_wall, timezone.utc).isoformat(),
        }
        for record in billed
    ]


def export(records: Iterable[Record], form: str) -> bytes:
    """The rows as "csv" (with a header) or "jsonl". Raises ValueError for another format."""
    if form == "jsonl":
        return b"".join(orjson.dumps(row) + b"\n" for row in rows(records))
    if form != "csv":
        raise ValueError(f"no format {form!r}: csv or jsonl")
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(records))
    return written.getvalue().encode()
