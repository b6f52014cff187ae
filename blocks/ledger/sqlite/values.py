"""What stands in the columns of a SQLite ledger, as values and back. What they mean stands in the
migrations."""

import json
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.purse import PurseKey
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.limits.upstream import Upstream
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord, Usage
from prefect_governor.blocks.records.limits import Rate
from prefect_governor.blocks.records.notices import Audit, Notice

# A row by the names of its columns.
Row = sqlite3.Row | Mapping[str, Any]

PURSE_FIGURES = (
    "spent_nano",
    "unconfirmed_nano",
    "reserved_nano",
    "spent_tokens",
    "unconfirmed_tokens",
    "reserved_tokens",
    "allocated_nano",
    "allocated_tokens",
)


def to_account(row: sqlite3.Row) -> Account:
    return Account(
        row["key"],
        row["name"],
        row["ceiling_nano"],
        row["ceiling_tokens"],
        row["window"],
        row["time_zone"],
        row["version"],
    )


def to_purse(account: Account, label: str, row: "Row | None") -> Purse:
    """A budget's figures; zeros where it has no row."""
    purse = Purse(account.key, label, account.name, account.ceiling_nano, account.ceiling_tokens)
    if row is not None:
        for name in PURSE_FIGURES:
            setattr(purse, name, row[name])
    return purse


def to_reservation(row: sqlite3.Row) -> Reservation:
    """A call. Of one that is resolved, its usage is left out: nothing asks for it."""
    return Reservation(
        row["call_id"],
        Bound(row["bound_nano"], row["bound_input_tokens"], row["bound_output_tokens"]),
        to_purses(row["accounts"]),
        to_gates(row["gates"]),
        row["state"],
        row["reason"],
        observed=row["observed"],
    )


def to_call(row: sqlite3.Row) -> CallRecord:
    usage = None
    if row["state"] == "spent":
        usage = Usage(
            row["spent_nano"], row["input_tokens"], row["output_tokens"], row["cached_input_tokens"]
        )
    return CallRecord(
        row["call_id"],
        row["state"],
        row["owner"],
        row["pid"],
        Bound(row["bound_nano"], row["bound_input_tokens"], row["bound_output_tokens"]),
        usage,
        row["reason"],
        row["observed"] or None,
        row["request_id"],
        row["created_wall"],
        row["resolved_wall"],
        Attribution(
            row["flow"],
            row["deployment"],
            row["flow_run_id"],
            row["task"],
            row["task_run_id"],
            tuple(json.loads(row["tags"])),
            row["model"],
            row["user"],
            row["label"],
            row["run_id"],
            row["item"],
        ),
    )


def to_allocation(row: sqlite3.Row) -> Allocation:
    return Allocation(
        row["key"],
        row["label"],
        to_purses(row["within"]),
        row["group"],
        bool(row["elastic"]),
        row["owner"],
        bool(row["closed"]),
    )


def to_notice(row: sqlite3.Row) -> Notice:
    return Notice(
        row["kind"],
        row["subject"],
        row["name"],
        row["window"],
        json.loads(row["payload"]),
        row["wall"],
        row["id"],
    )


def to_audit(row: sqlite3.Row) -> Audit:
    return Audit(
        row["action"],
        row["subject"],
        row["by"],
        row["reason"],
        row["evidence"],
        row["before"],
        row["after"],
        row["wall"],
    )


def gate_row(connection: sqlite3.Connection, key: str, now: Instant) -> "Row | None":
    """A limit's row with what is leased for it now."""
    row: Row | None = connection.execute(
        "SELECT *, (SELECT COALESCE(SUM(slots), 0) FROM leases WHERE limit_key = ?1"
        " AND usable_until > ?2) AS leased_slots FROM limits WHERE key = ?1",
        (key, now.boot),
    ).fetchone()
    return row


def to_gate(row: "Row") -> Gate:
    return Gate(
        key=row["key"],
        name=row["name"],
        max_concurrent=row["max_concurrent"],
        server_limit=row["server_limit"],
        leased=row["leased_slots"] if row["leased"] else None,
        in_flight=row["in_flight"],
        max_in_flight=row["max_in_flight"],
        throttled=row["throttled"],
        hold_until=row["hold_until"],
        meters=to_meters(row["meters"]),
        upstream=None if row["adaptive"] is None else Upstream.from_text(row["adaptive"]),
    )


# A run's calls draw on the same few purses and gates, again and again.
@lru_cache(maxsize=4096)
def purses_text(purses: tuple[PurseKey, ...]) -> str:
    return json.dumps(purses, separators=(",", ":"))


@lru_cache(maxsize=4096)
def to_purses(text: str) -> tuple[PurseKey, ...]:
    return tuple((account, label) for account, label in json.loads(text))


@lru_cache(maxsize=4096)
def gates_text(gates: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
    return json.dumps(gates, separators=(",", ":"))


@lru_cache(maxsize=4096)
def to_gates(text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((limit, tuple(counters)) for limit, counters in json.loads(text))


@lru_cache(maxsize=4096)
def tags_text(tags: tuple[str, ...]) -> str:
    return json.dumps(tags)


def to_meters(text: str) -> list[RateMeter]:
    if text == "[]":
        return []
    return [
        RateMeter(Rate(*rate), {int(index): amount for index, amount in taken})
        for rate, taken in json.loads(text)
    ]


def meters_text(meters: list[RateMeter]) -> str:
    if not meters:
        return "[]"
    return json.dumps(
        [
            [[m.rate.meter, m.rate.amount, m.rate.window_seconds], sorted(m.taken.items())]
            for m in meters
        ],
        separators=(",", ":"),
    )
