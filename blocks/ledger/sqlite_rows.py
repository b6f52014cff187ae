"""The rows of one SQLite transaction. What the columns mean stands in the migrations."""

import json
import sqlite3
from collections.abc import Mapping

from prefect_governor.blocks.ledger.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.clock import boot_id
from prefect_governor.blocks.ledger.records import (
    Account,
    Attribution,
    Bound,
    LimitTerms,
    Rate,
    Reply,
)
from prefect_governor.blocks.ledger.store import Instant, Lease
from prefect_governor.blocks.limits.rates import RateMeter

_FIGURES = (
    "spent_nano",
    "unconfirmed_nano",
    "reserved_nano",
    "spent_tokens",
    "unconfirmed_tokens",
    "reserved_tokens",
)


class SQLiteRows:
    """See `store.Rows`."""

    def __init__(self, connection: sqlite3.Connection, now: Instant) -> None:
        self._db = connection
        self.now = now

    def account(self, key: str) -> tuple[Account, str | None] | None:
        row = self._one("SELECT * FROM accounts WHERE key = ?", key)
        if row is None:
            return None
        account = Account(
            row["key"],
            row["name"],
            row["ceiling_nano"],
            row["ceiling_tokens"],
            row["window"],
            row["time_zone"],
            row["version"],
        )
        return account, row["last_label"]

    def put_account(self, account: Account) -> None:
        self._db.execute(
            "INSERT INTO accounts (key, name, ceiling_nano, ceiling_tokens, window, time_zone,"
            " version) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " last_label = CASE WHEN window = excluded.window THEN last_label END,"
            " name = excluded.name, ceiling_nano = excluded.ceiling_nano,"
            " ceiling_tokens = excluded.ceiling_tokens, window = excluded.window,"
            " time_zone = excluded.time_zone, version = excluded.version",
            (
                account.key,
                account.name,
                account.ceiling_nano,
                account.ceiling_tokens,
                account.window,
                account.time_zone,
                account.version,
            ),
        )

    def put_label(self, key: str, label: str) -> None:
        self._db.execute("UPDATE accounts SET last_label = ? WHERE key = ?", (label, key))

    def purse(self, account: Account, label: str) -> Purse:
        purse = Purse(
            account.key, label, account.name, account.ceiling_nano, account.ceiling_tokens
        )
        row = self._one("SELECT * FROM purses WHERE account = ? AND label = ?", account.key, label)
        if row is not None:
            for name in _FIGURES:
                setattr(purse, name, row[name])
        return purse

    def put_purse(self, purse: Purse) -> None:
        self._db.execute(
            f"INSERT OR REPLACE INTO purses (account, label, {', '.join(_FIGURES)})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (purse.account, purse.label, *(getattr(purse, name) for name in _FIGURES)),
        )

    def terms(self, key: str) -> LimitTerms | None:
        row = self._one("SELECT * FROM limits WHERE key = ?", key)
        if row is None:
            return None
        rates = tuple(meter.rate for meter in _meters(row["meters"]))
        return LimitTerms(key, row["name"], row["max_concurrent"], rates, bool(row["leased"]))

    def put_terms(self, terms: LimitTerms) -> None:
        row = self._one("SELECT meters FROM limits WHERE key = ?", terms.key)
        known = [] if row is None else _meters(row["meters"])
        # What was taken counts under the new amount too: the provider has not forgotten it.
        kept = {(meter.rate.meter, meter.rate.window_seconds): meter.taken for meter in known}
        meters = [
            RateMeter(rate, kept.get((rate.meter, rate.window_seconds), {})) for rate in terms.rates
        ]
        self._db.execute(
            "INSERT INTO limits (key, name, max_concurrent, leased, in_flight, max_in_flight,"
            " throttled, hold_until, meters) VALUES (?, ?, ?, ?, 0, 0, 0, 0, ?)"
            " ON CONFLICT (key) DO UPDATE SET name = excluded.name,"
            " max_concurrent = excluded.max_concurrent, leased = excluded.leased,"
            " meters = excluded.meters",
            (terms.key, terms.name, terms.max_concurrent, terms.leased, _dump(meters)),
        )

    def gate(self, key: str) -> Gate | None:
        return to_gate(self._db, key, self.now)

    def put_gate(self, gate: Gate) -> None:
        self._db.execute(
            "UPDATE limits SET in_flight = ?, max_in_flight = ?, throttled = ?, hold_until = ?,"
            " meters = ? WHERE key = ?",
            (
                gate.in_flight,
                gate.max_in_flight,
                gate.throttled,
                gate.hold_until,
                _dump(gate.meters),
                gate.key,
            ),
        )

    def put_server_limit(self, key: str, slots: int | None) -> None:
        self._db.execute("UPDATE limits SET server_limit = ? WHERE key = ?", (slots, key))

    def reservation(self, call_id: str) -> Reservation | None:
        row = self._one("SELECT * FROM reservations WHERE call_id = ?", call_id)
        if row is None:
            return None
        bound = Bound(row["bound_nano"], row["bound_input_tokens"], row["bound_output_tokens"])
        return Reservation(
            call_id,
            bound,
            tuple((account, label) for account, label in json.loads(row["accounts"])),
            tuple((limit, tuple(counters)) for limit, counters in json.loads(row["gates"])),
            row["state"],
            row["reason"],
        )

    def add_reservation(self, reservation: Reservation, owner: str, who: Attribution) -> None:
        self._db.execute(
            "INSERT INTO reservations (call_id, owner, state, bound_nano, bound_input_tokens,"
            " bound_output_tokens, accounts, gates, created_wall, flow, deployment, flow_run_id,"
            " task, task_run_id, tags, model, user, label, run_id, item)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reservation.call_id,
                owner,
                reservation.state,
                reservation.bound.nano,
                reservation.bound.input_tokens,
                reservation.bound.output_tokens,
                json.dumps(reservation.purses),
                json.dumps(reservation.gates),
                self.now.wall,
                who.flow,
                who.deployment,
                who.flow_run_id,
                who.task,
                who.task_run_id,
                json.dumps(who.tags),
                who.model,
                who.user,
                who.label,
                who.run_id,
                who.item,
            ),
        )

    def put_reservation(self, reservation: Reservation) -> None:
        usage = reservation.usage
        figures = (
            (None, None, None, None)
            if usage is None
            else (usage.nano, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        )
        self._db.execute(
            "UPDATE reservations SET state = ?, reason = ?, spent_nano = ?, input_tokens = ?,"
            " output_tokens = ?, cached_input_tokens = ?, resolved_wall = ? WHERE call_id = ?",
            (
                reservation.state,
                reservation.reason,
                *figures,
                self.now.wall,
                reservation.call_id,
            ),
        )

    def open_reservations(self, owner: str) -> list[str]:
        rows = self._db.execute(
            "SELECT call_id FROM reservations WHERE owner = ? AND state = 'reserved'", (owner,)
        )
        return [row["call_id"] for row in rows]

    def owners(self) -> list[str]:
        # Whoever has calls in flight is one, whatever became of its row.
        sql = (
            "SELECT owner FROM owners UNION SELECT owner FROM reservations WHERE state = 'reserved'"
        )
        return [row["owner"] for row in self._db.execute(sql)]

    def add_owner(self, owner: str, pid: int) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO owners (owner, pid, boot_id, started_wall) VALUES (?, ?, ?, ?)",
            (owner, pid, boot_id(), self.now.wall),
        )

    def remove_owner(self, owner: str) -> None:
        self._db.execute("DELETE FROM owners WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM waiting WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM heads WHERE owner = ?", (owner,))

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        self._db.execute("DELETE FROM waiting WHERE owner = ?", (owner,))
        self._db.executemany(
            "INSERT INTO waiting (owner, limit_key, calls) VALUES (?, ?, ?)",
            [(owner, key, calls) for key, calls in waiting.items() if calls],
        )

    def put_heads(self, owner: str, heads: Mapping[str, int]) -> None:
        self._db.execute("DELETE FROM heads WHERE owner = ?", (owner,))
        self._db.executemany(
            "INSERT INTO heads (owner, resource, since, said) VALUES (?, ?, ?, ?)",
            [(owner, resource, since, self.now.boot) for resource, since in heads.items()],
        )

    def heads(self, owner: str, heard_since: int) -> dict[str, int]:
        rows = self._db.execute(
            "SELECT resource, MIN(since) AS since FROM heads WHERE owner <> ? AND said >= ?"
            " GROUP BY resource",
            (owner, heard_since),
        )
        return {row["resource"]: row["since"] for row in rows}

    def demand(self, limit_key: str) -> int:
        row = self._one(
            "SELECT COALESCE((SELECT in_flight FROM limits WHERE key = ?1), 0)"
            " + COALESCE((SELECT SUM(calls) FROM waiting WHERE limit_key = ?1), 0) AS calls",
            limit_key,
        )
        assert row is not None
        return int(row["calls"])

    def leases(self, limit_key: str) -> list[Lease]:
        rows = self._db.execute(
            "SELECT * FROM leases WHERE limit_key = ? ORDER BY usable_until", (limit_key,)
        )
        return [Lease(**dict(row)) for row in rows]

    def put_lease(self, lease: Lease) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO leases (lease_id, limit_key, server_id, slots, usable_until)"
            " VALUES (?, ?, ?, ?, ?)",
            (lease.lease_id, lease.limit_key, lease.server_id, lease.slots, lease.usable_until),
        )

    def remove_lease(self, lease_id: str) -> None:
        self._db.execute("DELETE FROM leases WHERE lease_id = ?", (lease_id,))

    def add_reply(self, reply: Reply) -> None:
        key = reply.key
        self._db.execute(
            "INSERT OR REPLACE INTO replies (run_id, item, call_index, request_hash, content_type,"
            " body) VALUES (?, ?, ?, ?, ?, ?)",
            (
                key.run_id,
                key.item,
                key.call_index,
                key.request_hash,
                reply.content_type,
                reply.body,
            ),
        )

    def put_item(self, run_id: str, key: str, input_hash: str, record: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO items (run_id, key, input_hash, record) VALUES (?, ?, ?, ?)",
            (run_id, key, input_hash, record),
        )

    def _one(self, sql: str, *values: object) -> "sqlite3.Row | None":
        row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return row


def to_gate(connection: sqlite3.Connection, key: str, now: Instant) -> Gate | None:
    """A limit's row with what is leased for it now."""
    row = connection.execute(
        "SELECT *, (SELECT COALESCE(SUM(slots), 0) FROM leases WHERE limit_key = ?1"
        " AND usable_until > ?2) AS leased_slots FROM limits WHERE key = ?1",
        (key, now.boot),
    ).fetchone()
    if row is None:
        return None
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
        meters=_meters(row["meters"]),
    )


def _meters(text: str) -> list[RateMeter]:
    return [
        RateMeter(Rate(*rate), {int(index): amount for index, amount in taken})
        for rate, taken in json.loads(text)
    ]


def _dump(meters: list[RateMeter]) -> str:
    return json.dumps(
        [
            [[m.rate.meter, m.rate.amount, m.rate.window_seconds], sorted(m.taken.items())]
            for m in meters
        ],
        separators=(",", ":"),
    )
