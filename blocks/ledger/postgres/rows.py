"""The rows of one PostgreSQL transaction. What the columns mean stands in the migrations.

Statements go in a pipeline: writes are sent and their answers are read with the commit's, so that a
transaction waits for the server a constant number of times, however many calls are in its batch.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.store import Lease, NewReservation
from prefect_governor.blocks.ledger.postgres.cache import Cache
from prefect_governor.blocks.ledger.postgres.ended import EndedRows
from prefect_governor.blocks.ledger.postgres.values import (
    FIGURES,
    WHO,
    dump,
    dump_meters,
    load_meters,
    to_account,
    to_allocation,
    to_gate,
    to_purse,
    to_reservation,
)
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.limits import LimitRecord

if TYPE_CHECKING:
    from psycopg import Connection

_NEW = (
    "call_id, owner, state, reason, observed, request_id, bound_nano, bound_input_tokens,"
    " bound_output_tokens, spent_nano, input_tokens, output_tokens, cached_input_tokens, accounts,"
    " gates, created_wall, resolved_wall, tags, flow, deployment, flow_run_id, task, task_run_id,"
    ' model, "user", label, run_id, item'
)
_CHANGED = (
    "state, reason, observed, spent_nano, input_tokens, output_tokens, cached_input_tokens,"
    " resolved_wall"
)
_GATE = "in_flight, max_in_flight, throttled, hold_until, meters, adaptive"
_KEYED = "account, label, " + ", ".join(FIGURES)


def _each(names: str, source: str) -> str:
    """Assignments of the same columns of `source`."""
    return ", ".join(f"{name} = {source}.{name}" for name in names.split(", "))


# What a batch changed: of each part, a statement over a JSON list.
_PARTS = (
    f"purse AS (INSERT INTO purses ({_KEYED}) SELECT {_KEYED}"
    " FROM json_populate_recordset(NULL::purses, %s::json) ON CONFLICT (account, label)"
    f" DO UPDATE SET {_each(', '.join(FIGURES), 'excluded')})",
    f"gate AS (UPDATE limits SET {_each(_GATE, 'new')}"
    " FROM json_populate_recordset(NULL::limits, %s::json) AS new WHERE limits.key = new.key)",
    f"added AS (INSERT INTO reservations ({_NEW}) SELECT {_NEW}"
    " FROM json_populate_recordset(NULL::reservations, %s::json))",
    f"changed AS (UPDATE reservations SET {_each(_CHANGED, 'new')}"
    " FROM json_populate_recordset(NULL::reservations, %s::json) AS new"
    " WHERE reservations.call_id = new.call_id)",
)


class PostgresRows(EndedRows):
    """See `store.Rows`.

    What a batch writes back is kept until the transaction ends, or reads, and goes out together.
    """

    def __init__(self, connection: "Connection[Any]", now: Instant, cache: Cache) -> None:
        super().__init__(connection, now, cache)
        self._purses: dict[tuple[str, str], dict[str, Any]] = {}
        self._gates: dict[str, dict[str, Any]] = {}
        self._added: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}

    def finish(self, move: str, values: tuple[object, ...]) -> None:
        """Write what is kept, and that something was written. Nothing where nothing was."""
        parts, texts = self._take()
        if self.wrote:
            self._db.execute(
                f"WITH {', '.join([*parts, move])} SELECT 1 FROM told", [*texts, *values]
            )

    def flush(self) -> None:
        parts, texts = self._take()
        if parts:
            self._db.execute(f"WITH {', '.join(parts)} SELECT 1", texts)

    def _take(self) -> tuple[list[str], list[str]]:
        """The parts of one statement that writes what is kept, and their values."""
        kept: list[dict[Any, dict[str, Any]]]
        kept = [self._purses, self._gates, self._added, self._changed]
        filled = [(part, rows) for part, rows in zip(_PARTS, kept, strict=True) if rows]
        texts = [dump(list(rows.values())) for _, rows in filled]
        for _, rows in filled:
            rows.clear()
        self.wrote = self.wrote or bool(filled)
        return [part for part, _ in filled], texts

    # Budgets

    def account(self, key: str) -> tuple[Account, str | None] | None:
        row = self._get("accounts", key)
        return None if row is None else (to_account(row), row["last_label"])

    def put_account(self, account: Account) -> None:
        self._cache.forget("accounts", account.key)
        self._write(
            'INSERT INTO accounts (key, name, ceiling_nano, ceiling_tokens, "window", time_zone,'
            " version) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET"
            ' last_label = CASE WHEN accounts."window" = excluded."window"'
            " THEN accounts.last_label END,"
            " name = excluded.name, ceiling_nano = excluded.ceiling_nano,"
            ' ceiling_tokens = excluded.ceiling_tokens, "window" = excluded."window",'
            " time_zone = excluded.time_zone, version = excluded.version",
            account.key,
            storable(account.name),
            account.ceiling_nano,
            account.ceiling_tokens,
            account.window,
            account.time_zone,
            account.version,
        )

    def put_label(self, key: str, label: str) -> None:
        self._cache.forget("accounts", key)
        self._write("UPDATE accounts SET last_label = %s WHERE key = %s", label, key)

    def purse(self, account: Account, label: str) -> Purse:
        return to_purse(account, label, self._get("purses", (account.key, label)))

    def put_purse(self, purse: Purse) -> None:
        self._cache.forget("purses", purse.key)
        figures = {name: getattr(purse, name) for name in FIGURES}
        self._purses[purse.key] = {"account": purse.account, "label": purse.label, **figures}

    def allocation(self, key: str) -> Allocation | None:
        row = self._get("allocations", key)
        return None if row is None else to_allocation(row)

    def put_allocation(self, allocation: Allocation) -> None:
        self._cache.forget("allocations", allocation.key)
        self._write(
            'INSERT INTO allocations (key, label, within, "group", elastic, owner, closed)'
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO UPDATE SET"
            ' label = excluded.label, within = excluded.within, "group" = excluded."group",'
            " elastic = excluded.elastic, owner = excluded.owner, closed = excluded.closed",
            allocation.key,
            storable(allocation.label),
            dump(allocation.within),
            allocation.group,
            allocation.elastic,
            allocation.owner,
            allocation.closed,
        )

    def allocations(
        self, *, group: str | None = None, owner: str | None = None
    ) -> list[Allocation]:
        wanted = {'"group"': group, "owner": owner}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        rows = self._all(
            'SELECT key, label, within, "group", elastic, owner, closed FROM allocations'
            " WHERE NOT closed"
            + "".join(f" AND {name} = %s" for name in chosen)
            + ' ORDER BY key COLLATE "C"',
            *chosen.values(),
        )
        return [to_allocation(row) for row in rows]

    # Limits

    def terms(self, key: str) -> LimitRecord | None:
        row = self._get("limits", key)
        if row is None:
            return None
        rates = tuple(meter.rate for meter in load_meters(row["meters"]))
        adaptive = row["adaptive"] is not None
        return LimitRecord(key, row["name"], row["max_concurrent"], rates, row["leased"], adaptive)

    def put_terms(self, terms: LimitRecord) -> None:
        row = self._get("limits", terms.key)
        known = [] if row is None else load_meters(row["meters"])
        # What was taken counts under the new amount too: the provider has not forgotten it.
        kept = {(meter.rate.meter, meter.rate.window_seconds): meter.taken for meter in known}
        meters = [
            RateMeter(rate, kept.get((rate.meter, rate.window_seconds), {})) for rate in terms.rates
        ]
        self._cache.forget("limits", terms.key)
        self._write(
            "INSERT INTO limits (key, name, max_concurrent, leased, in_flight, max_in_flight,"
            " throttled, hold_until, meters, adaptive)"
            " VALUES (%s, %s, %s, %s, 0, 0, 0, 0, %s, %s)"
            " ON CONFLICT (key) DO UPDATE SET name = excluded.name,"
            " max_concurrent = excluded.max_concurrent, leased = excluded.leased,"
            " meters = excluded.meters, adaptive = CASE WHEN excluded.adaptive IS NOT NULL"
            " THEN COALESCE(limits.adaptive, excluded.adaptive) END",
            terms.key,
            storable(terms.name),
            terms.max_concurrent,
            terms.leased,
            dump_meters(meters),
            "{}" if terms.adaptive else None,
        )

    def gate(self, key: str) -> Gate | None:
        return to_gate(self._get("limits", key), self.now)

    def put_gate(self, gate: Gate) -> None:
        self._cache.forget("limits", gate.key)
        self._gates[gate.key] = {
            "key": gate.key,
            "in_flight": gate.in_flight,
            "max_in_flight": gate.max_in_flight,
            "throttled": gate.throttled,
            "hold_until": gate.hold_until,
            "meters": dump_meters(gate.meters),
            "adaptive": None if gate.upstream is None else gate.upstream.to_text(),
        }

    def put_server_limit(self, key: str, slots: int | None) -> None:
        self._cache.forget("limits", key)
        self._write("UPDATE limits SET server_limit = %s WHERE key = %s", slots, key)

    def leases(self, limit_key: str) -> list[Lease]:
        rows = self._all(
            "SELECT lease_id, limit_key, server_id, slots, usable_until FROM leases"
            " WHERE limit_key = %s ORDER BY usable_until",
            limit_key,
        )
        return [Lease(**row) for row in rows]

    def put_lease(self, lease: Lease) -> None:
        self._cache.forget("limits")
        self._write(
            "INSERT INTO leases (lease_id, limit_key, server_id, slots, usable_until)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (lease_id) DO UPDATE SET"
            " limit_key = excluded.limit_key, server_id = excluded.server_id,"
            " slots = excluded.slots, usable_until = excluded.usable_until",
            lease.lease_id,
            lease.limit_key,
            lease.server_id,
            lease.slots,
            lease.usable_until,
        )

    def remove_lease(self, lease_id: str) -> None:
        self._cache.forget("limits")
        self._write("DELETE FROM leases WHERE lease_id = %s", lease_id)

    # Calls

    def reservations(self, call_ids: Iterable[str]) -> dict[str, Reservation]:
        wanted = list(call_ids)
        if not wanted:
            return {}
        rows = self._all(
            "SELECT call_id, bound_nano, bound_input_tokens, bound_output_tokens, accounts, gates,"
            " state, reason, observed FROM reservations WHERE call_id = ANY(%s::text[])",
            wanted,
        )
        return {row["call_id"]: to_reservation(row) for row in rows}

    def add_reservations(self, added: Iterable[NewReservation]) -> None:
        for each in added:
            reservation, who = each.reservation, each.who
            self._added[reservation.call_id] = {
                "call_id": reservation.call_id,
                "owner": each.owner,
                "state": reservation.state,
                "reason": reservation.reason,
                "observed": reservation.observed,
                "request_id": each.request_id,
                "bound_nano": reservation.bound.nano,
                "bound_input_tokens": reservation.bound.input_tokens,
                "bound_output_tokens": reservation.bound.output_tokens,
                "accounts": reservation.purses,
                "gates": reservation.gates,
                "created_wall": self.now.wall,
                "tags": who.tags,
                **{name: getattr(who, name) for name in WHO},
            }

    def put_reservations(self, changed: Iterable[Reservation]) -> None:
        for each in changed:
            row = {
                "call_id": each.call_id,
                "state": each.state,
                "reason": each.reason,
                "observed": each.observed,
                "resolved_wall": self.now.wall,
            }
            if (usage := each.usage) is not None:
                row["spent_nano"] = usage.nano
                row["input_tokens"] = usage.input_tokens
                row["output_tokens"] = usage.output_tokens
                row["cached_input_tokens"] = usage.cached_input_tokens
            # One statement does not see its own new rows.
            if each.call_id in self._added:
                self._added[each.call_id].update(row)
            else:
                self._changed[each.call_id] = row

    def remove_reservations(self, call_ids: Iterable[str]) -> None:
        self._write("DELETE FROM reservations WHERE call_id = ANY(%s)", list(call_ids))

    def open_reservations(self, owner: str) -> list[str]:
        rows = self._all(
            "SELECT call_id FROM reservations WHERE owner = %s AND state = 'reserved'", owner
        )
        return [row["call_id"] for row in rows]
