"""Between values and what PostgreSQL keeps of them. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.limits.upstream import Upstream
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.text import storable, storable_value
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord, Usage
from prefect_governor.blocks.records.limits import Rate

Row = Mapping[str, Any]

FIGURES = (
    "spent_nano",
    "unconfirmed_nano",
    "reserved_nano",
    "allocated_nano",
    "spent_tokens",
    "unconfirmed_tokens",
    "reserved_tokens",
    "allocated_tokens",
)
# The attribution's columns of a call, beside its tags.
WHO = (
    "flow",
    "deployment",
    "flow_run_id",
    "task",
    "task_run_id",
    "model",
    "user",
    "label",
    "run_id",
    "item",
)


def dump(value: Any) -> str:
    """`value` as JSON that PostgreSQL takes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text:
        # A NUL, or a backslash that somebody wrote before such a number.
        text = json.dumps(storable_value(value), ensure_ascii=False, separators=(",", ":"))
    return storable(text)


def load_meters(text: str) -> list[RateMeter]:
    """A limit's rates with what was taken under each."""
    return [
        RateMeter(Rate(*rate), {int(index): amount for index, amount in taken})
        for rate, taken in json.loads(text)
    ]


def dump_meters(meters: Iterable[RateMeter]) -> str:
    return json.dumps(
        [
            [[m.rate.meter, m.rate.amount, m.rate.window_seconds], sorted(m.taken.items())]
            for m in meters
        ],
        separators=(",", ":"),
    )


def to_account(row: Row) -> Account:
    return Account(
        row["key"],
        row["name"],
        row["ceiling_nano"],
        row["ceiling_tokens"],
        row["window"],
        row["time_zone"],
        row["version"],
    )


def to_purse(account: Account, label: str, row: Row | None) -> Purse:
    """A budget in a window; zeros where nothing was spent in it."""
    purse = Purse(account.key, label, account.name, account.ceiling_nano, account.ceiling_tokens)
    if row is not None:
        for name in FIGURES:
            setattr(purse, name, row[name])
    return purse


def to_allocation(row: Row) -> Allocation:
    within = tuple((account, label) for account, label in row["within"])
    return Allocation(
        row["key"], row["label"], within, row["group"], row["elastic"], row["owner"], row["closed"]
    )


def to_gate(row: Row | None, now: Instant) -> Gate | None:
    """A limit with what is leased for it now."""
    if row is None:
        return None
    leased = None
    if row["leased"]:
        leased = sum(slots for slots, usable_until in row["leases"] if usable_until > now.boot)
    return Gate(
        key=row["key"],
        name=row["name"],
        max_concurrent=row["max_concurrent"],
        server_limit=row["server_limit"],
        leased=leased,
        in_flight=row["in_flight"],
        max_in_flight=row["max_in_flight"],
        throttled=row["throttled"],
        hold_until=row["hold_until"],
        meters=load_meters(row["meters"]),
        upstream=None if row["adaptive"] is None else Upstream.from_text(row["adaptive"]),
    )


def to_reservation(row: Row) -> Reservation:
    return Reservation(
        row["call_id"],
        Bound(row["bound_nano"], row["bound_input_tokens"], row["bound_output_tokens"]),
        tuple((account, label) for account, label in row["accounts"]),
        tuple((limit, tuple(counters)) for limit, counters in row["gates"]),
        row["state"],
        row["reason"],
        observed=row["observed"],
    )


def to_record(row: Row) -> CallRecord:
    usage = None
    if row["spent_nano"] is not None:
        usage = Usage(
            row["spent_nano"],
            row["input_tokens"],
            row["output_tokens"],
            row["cached_input_tokens"],
        )
    return CallRecord(
        row["call_id"],
        row["state"],
        row["owner"],
        row["pid"],
        Bound(row["bound_nano"], row["bound_input_tokens"], row["bound_output_tokens"]),
        usage,
        row["reason"],
        row["observed"],
        row["request_id"],
        row["created_wall"],
        row["resolved_wall"],
        Attribution(tags=tuple(row["tags"]), **{name: row[name] for name in WHO}),
    )
