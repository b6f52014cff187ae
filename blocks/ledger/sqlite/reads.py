"""What is read of a SQLite ledger outside its transactions."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.page import current_label
from prefect_governor.blocks.ledger.decision.purse import WHOLE
from prefect_governor.blocks.ledger.decision.store import NOTHING, Piece, Spend
from prefect_governor.blocks.ledger.sqlite.rows import SQLiteRows
from prefect_governor.blocks.ledger.sqlite.values import (
    to_account,
    to_allocation,
    to_audit,
    to_call,
)
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import CallRecord, CallState, Reply, ReplyKey
from prefect_governor.blocks.records.notices import Audit

_SPEND_COLUMNS = frozenset(
    [
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
    ]
)

# A call that drew on an account, in any window where the second value is empty.
_DRAWN = (
    "EXISTS (SELECT 1 FROM json_each(accounts) AS drawn"
    " WHERE json_extract(drawn.value, '$[0]') = ?"
    " AND ? IN ('', json_extract(drawn.value, '$[1]')))"
)

_SUMS = (
    "COUNT(*) AS calls,"
    " COALESCE(SUM(spent_nano), 0) AS spent,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'unconfirmed'), 0) AS unconfirmed,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'reserved'), 0) AS reserved,"
    " COALESCE(SUM(input_tokens), 0) AS input,"
    " COALESCE(SUM(output_tokens), 0) AS output"
)
# Slots are no spend.
_COUNTED = "state <> 'released' AND accounts <> '[]'"


class Reads(ABC):
    """The reading half of a `SQLiteStore`."""

    _now: Callable[[], Instant]

    @abstractmethod
    def _read(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection that reads, for one reader at a time."""

    def read_reply(self, key: ReplyKey) -> Reply | None:
        row = self._one(
            "SELECT body, content_type FROM replies"
            " WHERE run_id = ? AND item = ? AND call_index = ? AND request_hash = ?",
            (key.run_id, storable(key.item), key.call_index, key.request_hash),
        )
        return None if row is None else Reply(key, row["body"], row["content_type"])

    def read_items(self, run_id: str) -> dict[tuple[str, str], str]:
        rows = self._all("SELECT key, input_hash, record FROM items WHERE run_id = ?", (run_id,))
        return {(row["key"], row["input_hash"]): row["record"] for row in rows}

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        with self._read() as connection:
            rows = SQLiteRows(connection, self._now())
            known = rows.account(account)
            return (
                None
                if known is None
                else (known[0], rows.purse(known[0], label or current_label(*known, rows.now)))
            )

    def read_gate(self, key: str) -> Gate | None:
        with self._read() as connection:
            return SQLiteRows(connection, self._now()).gate(key)

    def read_upstreams(self) -> list[Gate]:
        with self._read() as connection:
            keys = connection.execute(
                "SELECT key FROM limits WHERE adaptive IS NOT NULL ORDER BY key"
            ).fetchall()
            rows = SQLiteRows(connection, self._now())
            gates = (rows.gate(row["key"]) for row in keys)
            return [gate for gate in gates if gate is not None]

    def read_spend(
        self,
        column: str,
        where: Mapping[str, str],
        keys: Iterable[str] | None = None,
        *,
        account: str | None = None,
        label: str | None = None,
        since_wall: int | None = None,
    ) -> dict[str | None, Spend]:
        table, name = "reservations", f'"{column}"'
        names = [column, *where]
        if column == "tag":
            table, name = "reservations LEFT JOIN json_each(tags) AS tag", "tag.value"
            names = [*where]
        if unknown := [name for name in names if name not in _SPEND_COLUMNS]:
            raise ValueError(f"not an attribution column: {unknown}")
        chosen = None if keys is None else [storable(key) for key in keys]
        conditions = [f'"{name}" = ?' for name in where]
        values = [storable(value) for value in where.values()]
        if chosen is not None:
            conditions.append(f"{name} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(chosen))
        if account is not None:
            conditions.append(_DRAWN)
            values += [account, label or ""]
        if since_wall is not None:
            conditions.append("created_wall >= CAST(? AS INTEGER)")
            values.append(str(since_wall))
        rows = self._all(
            f"SELECT {name} AS name, {_SUMS} FROM {table} WHERE {_COUNTED}"
            + "".join(f" AND {condition}" for condition in conditions)
            + f" GROUP BY {name}",
            tuple(values),
        )
        return {row["name"]: _spend(row) for row in rows}

    def read_spend_over_time(self, starts: Sequence[int], *, account: str) -> list[Spend]:
        rows = self._all(
            "SELECT (SELECT COUNT(*) FROM json_each(?) WHERE value <= created_wall) AS place,"
            f" {_SUMS} FROM reservations WHERE {_COUNTED} AND created_wall >= ? AND {_DRAWN}"
            " GROUP BY place",
            (json.dumps(list(starts)), min(starts), account, ""),
        )
        found = {row["place"]: _spend(row) for row in rows}
        return [found.get(place, NOTHING) for place in range(1, len(starts) + 1)]

    def read_dearest(
        self, most: int, *, account: str, label: str | None = None, since_wall: int | None = None
    ) -> list[Piece]:
        rows = self._all(
            f"SELECT flow, flow_run_id, COALESCE(item, task) AS name, {_SUMS} FROM reservations"
            f" WHERE {_COUNTED} AND {_DRAWN} AND created_wall >= ?"
            " GROUP BY flow, flow_run_id, COALESCE(item, task)"
            " ORDER BY spent + unconfirmed DESC, flow_run_id, name LIMIT ?",
            (account, label or "", since_wall or 0, most),
        )
        return [Piece(row["flow"], row["flow_run_id"], row["name"], _spend(row)) for row in rows]

    def read_learned(self, model: str) -> Learned | None:
        with self._read() as connection:
            return SQLiteRows(connection, self._now()).learned(model)

    def read_calls(
        self,
        states: Iterable[CallState],
        *,
        account: str | None = None,
        label: str | None = None,
        since_wall: int | None = None,
        flow: str | None = None,
        observed: str | None = None,
        most: int | None = None,
    ) -> list[CallRecord]:
        wanted = list(dict.fromkeys(states))
        # Told one by one, so that the small indexes of what is open are used for it.
        conditions = [f"state IN ({', '.join('?' * len(wanted))})"]
        values: list[object] = [*wanted]
        if account is not None:
            conditions.append(_DRAWN)
            values += [account, label or ""]
        if since_wall is not None:
            conditions.append("created_wall >= ?")
            values.append(since_wall)
        if flow is not None:
            conditions.append("flow = ?")
            values.append(flow)
        if observed is not None:
            conditions.append("substr(observed, 1, ?) = ?")
            values += [len(observed), observed]
        rows = self._all(
            "SELECT reservations.*, owners.pid FROM reservations LEFT JOIN owners USING (owner)"
            f" WHERE {' AND '.join(conditions)}"
            " ORDER BY created_wall DESC, reservations.rowid DESC LIMIT ?",
            (*values, -1 if most is None else most),
        )
        return [to_call(row) for row in reversed(rows)]

    def read_allocations(self, account: str) -> list[tuple[Allocation, Account, Purse]]:
        with self._read() as connection:
            rows = SQLiteRows(connection, self._now())
            found = connection.execute(
                "SELECT allocations.*, accounts.*, allocations.label AS label"
                " FROM allocations JOIN accounts USING (key) WHERE closed = 0 AND EXISTS"
                " (SELECT 1 FROM json_each(within) AS outer"
                " WHERE json_extract(outer.value, '$[0]') = ?) ORDER BY key",
                (account,),
            ).fetchall()
            held = [(to_allocation(row), to_account(row)) for row in found]
            return [(each, own, rows.purse(own, WHOLE)) for each, own in held]

    def read_audit(self, subject: str | None = None) -> list[Audit]:
        rows = self._all(
            "SELECT * FROM audit WHERE ?1 IS NULL OR subject = ?1 ORDER BY id", (subject,)
        )
        return [to_audit(row) for row in rows]

    def _one(self, sql: str, values: tuple[object, ...]) -> "sqlite3.Row | None":
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
        with self._read() as connection:
            return connection.execute(sql, values).fetchall()


def _spend(row: sqlite3.Row) -> Spend:
    return Spend(
        row["calls"], row["spent"], row["unconfirmed"], row["reserved"], row["input"], row["output"]
    )
