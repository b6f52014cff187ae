"""The book of calls: who arrived when, what was open, what was billed. Times are monotonic."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.provider.books.bill import Usage
from tests.provider.rules.faults import KINDS


@dataclass(slots=True)
class Record:
    """One call. Times are CLOCK_MONOTONIC in seconds, comparable between processes of a machine.

    `request_id` is what the client named it by (x-client-request-id), `billed_wall` when it was
    billed by the calendar's clock, in seconds since 1970.
    """

    sequence: int
    arrival: float
    model: str = ""
    body_hash: str = ""
    tag: str = ""
    stream: bool = False
    max_output: int | None = None
    open_at_arrival: int = 0
    gone: bool = False
    end: float | None = None
    status: int | None = None
    fault: str | None = None
    limit: str | None = None
    abandoned: bool = False
    input: int = 0
    cached: int = 0
    output: int = 0
    billed_at: float | None = None
    billed_nano: int = 0
    request_id: str = ""
    tier: str = "default"
    written: int = 0
    billed_wall: float = 0.0


class Book:
    """All calls of a run and their sums; each bill and each end also goes to a file at once."""

    def __init__(self, clock_ns: Callable[[], int], path: Path | None = None) -> None:
        self._clock_ns = clock_ns
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._sequence = 0
        self.clear()

    def clear(self) -> None:
        """Forgets everything but the numbering. Only while nothing is open."""
        self.records: list[Record] = []
        self._open = 0
        self._max_open = 0
        self._integral_ns = 0
        self._moved_ns = self._clock_ns()
        self._last_end: float | None = None
        self._sums: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()

    @property
    def open_now(self) -> int:
        return self._open

    def _move(self, step: int) -> float:
        now = self._clock_ns()
        self._integral_ns += self._open * (now - self._moved_ns)
        self._moved_ns = now
        self._open += step
        self._max_open = max(self._max_open, self._open)
        return now / 1e9

    def arrive(self, *, tag: str, body_hash: str, gone: bool, request_id: str = "") -> Record:
        """A request has arrived in full; it is open from now on.

        One whose client is already `gone` when it is read is a call (and billed as any) that was
        never open: the client may have sent another in its place.
        """
        self._sequence += 1
        arrival = self._move(0 if gone else 1)
        record = Record(
            self._sequence,
            arrival,
            tag=tag,
            body_hash=body_hash,
            open_at_arrival=self._open,
            gone=gone,
            request_id=request_id,
        )
        self.records.append(record)
        return record

    def bill(self, record: Record, usage: Usage, nano: int) -> None:
        """The call is billed, once."""
        assert record.billed_at is None, f"call {record.sequence} billed twice"
        record.input, record.cached, record.output = usage[:3]
        record.written = usage.written + usage.written_long
        record.billed_wall = time.time()
        record.billed_nano = nano
        record.billed_at = self._clock_ns() / 1e9
        self._sums.update(
            billed_nano=nano,
            billed_calls=1,
            input_tokens=usage.input,
            cached_tokens=usage.cached,
            output_tokens=usage.output,
        )
        self._write(record)

    def fault(self, record: Record, kind: str) -> None:
        """The fault is being done to the call."""
        record.fault = kind
        self._faults[kind] += 1

    def throttle(self, record: Record, limit: str) -> None:
        record.limit = limit
        self._throttled[limit] += 1

    def end(self, record: Record) -> None:
        """The reply's last byte is written, or the client is gone."""
        now = self._move(0 if record.gone else -1)
        record.end = self._last_end = record.arrival if record.gone else now
        if record.status is not None:
            self._statuses[record.status] += 1
        self._sums["abandoned"] += record.abandoned
        self._write(record)

    def _write(self, record: Record) -> None:
        if self._file is not None:
            os.write(self._file, orjson.dumps(record) + b"\n")

    def stats(self) -> dict[str, Any]:
        """Sums since the start or the last reset."""
        self._move(0)
        names = ("billed_nano", "billed_calls", "input_tokens", "cached_tokens", "output_tokens")
        return {
            "now": self._moved_ns / 1e9,
            "open": self._open,
            "max_open": self._max_open,
            "in_flight_seconds": self._integral_ns / 1e9,
            "requests": len(self.records),
            **{name: self._sums[name] for name in names},
            "abandoned": self._sums["abandoned"],
            "throttled": self._throttled.total(),
            "throttled_by": dict(self._throttled),
            "faults": {kind: self._faults[kind] for kind in KINDS},
            "statuses": {str(status): n for status, n in sorted(self._statuses.items())},
            "first_arrival": self.records[0].arrival if self.records else None,
            "last_end": self._last_end,
        }


def read_log(path: Path) -> list[dict[str, Any]]:
    """The calls in a `--log` file, by sequence; each call's last line counts.

    A line that a kill cut short is passed over.
    """
    found: dict[int, dict[str, Any]] = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            record = orjson.loads(line)
            found[record["sequence"]] = record
    return [found[sequence] for sequence in sorted(found)]


def _steps(records: Iterable[dict[str, Any]], until: float) -> list[tuple[float, int]]:
    """(time, +1 or -1); at one instant, ends come first."""
    steps: list[tuple[float, int]] = []
    for record in records:
        steps.append((record["arrival"], 1))
        steps.append((until if record["end"] is None else record["end"], -1))
    return sorted(steps)


def in_flight_seconds(records: Iterable[dict[str, Any]], since: float, until: float) -> float:
    """The integral of open calls over [since, until], from log records."""
    total = 0.0
    for record in records:
        end = until if record["end"] is None else min(until, record["end"])
        total += max(0.0, end - max(since, record["arrival"]))
    return total


def max_in_flight(records: Iterable[dict[str, Any]]) -> int:
    """The most calls that were open at once."""
    peak = now = 0
    for _, step in _steps(records, float("inf")):
        now += step
        peak = max(peak, now)
    return peak


def first_full(records: Iterable[dict[str, Any]], cap: int) -> float | None:
    """When `cap` calls were first open at once; None if never."""
    now = 0
    for at, step in _steps(records, float("inf")):
        now += step
        if now >= cap:
            return at
    return None


def utilization(records: list[dict[str, Any]], cap: int) -> float:
    """P11: in-flight integral / (cap x time), from when the cap is first full until the last
    arrival (after which the queue is empty). 0.0 when the cap is never full."""
    since = first_full(records, cap)
    if since is None:
        return 0.0
    until: float = max(record["arrival"] for record in records)
    if until <= since:
        return 1.0
    return in_flight_seconds(records, since, until) / (cap * (until - since))
