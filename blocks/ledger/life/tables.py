"""What there is in a ledger, table by table, as every store has it. Pure.

Left out is what a move makes void: who is there and waits, by the old store's clock and locks.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """A table: its columns; which are integers, JSON (text in a file) and yes or no."""

    name: str
    texts: tuple[str, ...]
    integers: tuple[str, ...] = ()
    json: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    # JSON is written in a file as this says; what is looked for in it stands so.
    separators: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.texts, *self.integers, *self.json, *self.flags, *self.blobs)

    def to_file(self, rows: Iterable[Values]) -> Iterator[Values]:
        """Rows as PostgreSQL has them, as SQLite does."""
        return self._changed(
            rows,
            lambda name, value: json.dumps(value, separators=self.separators.get(name, (",", ":"))),
            int,
        )

    def to_server(self, rows: Iterable[Values]) -> Iterator[Values]:
        """Rows as SQLite has them, as PostgreSQL does. JSON is text on its way there."""
        return self._changed(rows, lambda name, value: value, bool)

    def _changed(
        self,
        rows: Iterable[Values],
        of_json: Callable[[str, Any], Any],
        of_flag: Callable[[Any], Any],
    ) -> Iterator[Values]:
        names = self.columns
        json_at = [names.index(name) for name in self.json]
        flags_at = [names.index(name) for name in self.flags]
        for row in rows:
            values = list(row)
            for index in json_at:
                values[index] = of_json(names[index], values[index])
            for index in flags_at:
                values[index] = of_flag(values[index])
            yield tuple(values)


_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens")
_WHO = ("flow", "deployment", "task", "model", "user", "label")
_TAGS = {"tags": (", ", ": ")}

TABLES = (
    Table(
        "accounts",
        ("key", "name", "window", "time_zone", "version", "last_label"),
        ("ceiling_nano", "ceiling_tokens"),
    ),
    Table(
        "purses",
        ("account", "label"),
        (
            *("spent_nano", "unconfirmed_nano", "reserved_nano", "allocated_nano"),
            *("spent_tokens", "unconfirmed_tokens", "reserved_tokens", "allocated_tokens"),
        ),
    ),
    Table(
        "limits",
        ("key", "name", "meters", "adaptive"),
        (
            *("max_concurrent", "server_limit", "in_flight", "max_in_flight", "throttled"),
            "hold_until",
        ),
        flags=("leased",),
    ),
    Table("leases", ("lease_id", "limit_key", "server_id"), ("slots", "usable_until")),
    Table(
        "reservations",
        (
            *("call_id", "owner", "state", "reason", "observed", "request_id", *_WHO),
            *("flow_run_id", "task_run_id", "run_id", "item"),
        ),
        (
            *("bound_nano", "bound_input_tokens", "bound_output_tokens", "spent_nano", *_TOKENS),
            *("created_wall", "resolved_wall"),
        ),
        json=("accounts", "gates", "tags"),
        separators=_TAGS,
    ),
    Table(
        "sums",
        ("key", *_WHO),
        ("start_wall", "calls", "spent_nano", *_TOKENS),
        json=("accounts", "tags"),
        separators=_TAGS,
    ),
    Table(
        "allocations",
        ("key", "label", "group", "owner"),
        json=("within",),
        flags=("elastic", "closed"),
    ),
    Table("marks", ("subject", "window", "name"), ("value",)),
    Table("notices", ("kind", "subject", "name", "window", "payload"), ("id", "wall")),
    Table(
        "audit",
        ("action", "subject", "by", "reason", "evidence", "before", "after"),
        ("id", "wall"),
    ),
    Table("learned", ("model", "record")),
    Table(
        "replies",
        ("run_id", "item", "request_hash", "content_type"),
        ("call_index",),
        blobs=("body",),
    ),
    Table("items", ("run_id", "key", "input_hash", "record")),
    Table("chunks", ("work", "owner", "attempt"), ("number",), flags=("done",)),
)

# What was counted by the old store's clock is void, as after a reboot: a rate's last window, a
# hold. Figures are compared without it.
RESTARTED = (
    "UPDATE limits SET hold_until = 0, meters = '[]'",
    "UPDATE limits SET adaptive = '{}' WHERE adaptive IS NOT NULL",
    "UPDATE leases SET usable_until = 0 WHERE usable_until <> 2",
)
# Split, so that no sum of instants is too large for an int64.
_SPLIT = 10**6


def figures_sql(table: Table, *, integer: str) -> str:
    """A query of one row: how many rows, and the sum of each column of integers in two parts.
    `integer` is the type that a sum is read as."""
    sums = [
        part
        for name in table.integers
        for part in (
            f'CAST(COALESCE(SUM("{name}" / {_SPLIT}), 0) AS {integer})',
            f'CAST(COALESCE(SUM("{name}" % {_SPLIT}), 0) AS {integer})',
        )
    ]
    sums += [f'CAST(COALESCE(SUM(LENGTH("{name}")), 0) AS {integer})' for name in table.blobs]
    return f"SELECT {', '.join(['COUNT(*)', *sums])} FROM {table.name}"
