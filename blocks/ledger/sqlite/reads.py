"""What is read of a SQLite ledger outside its transactions."""

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.page import current_label
from prefect_governor.blocks.ledger.decision.purse import WHOLE
from prefect_governor.blocks.ledger.sqlite.ended import EndedReads
from prefect_governor.blocks.ledger.sqlite.memory import Memory
from prefect_governor.blocks.ledger.sqlite.rows import SQLiteRows
from prefect_governor.blocks.ledger.sqlite.spends import Spends, drawn_text
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


class Reads(Spends, EndedReads):
    """The reading half of a `SQLiteStore`."""

    _now: Callable[[], Instant]

    def _rows(
        self, connection: sqlite3.Connection, now: Instant, memory: Memory | None = None
    ) -> SQLiteRows:
        """The rows of one transaction."""
        return SQLiteRows(connection, now, memory)

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

    def read_items(
        self, run_id: str, keys: Collection[str] | None = None
    ) -> dict[tuple[str, str], str]:
        sql, values = "SELECT key, input_hash, record FROM items WHERE run_id = ?", [run_id]
        if keys is not None:
            sql += " AND key IN (SELECT value FROM json_each(?))"
            values.append(json.dumps([storable(key) for key in keys]))
        rows = self._all(sql, tuple(values))
        return {(row["key"], row["input_hash"]): row["record"] for row in rows}

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        with self._read() as connection:
            rows = self._rows(connection, self._now())
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
            conditions.append("instr(accounts, ?) > 0")
            values.append(drawn_text(account, label))
        if since_wall is not None:
            conditions.append("created_wall >= ?")
            values.append(since_wall)
        if flow is not None:
            conditions.append("flow = ?")
            values.append(flow)
        if observed is not None:
            # The first part is what the small index is of.
            conditions.append("observed <> '' AND substr(observed, 1, ?) = ?")
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
