"""What people ask a PostgreSQL ledger: who spent what, what is open, what was changed by hand."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse
from prefect_governor.blocks.ledger.decision.batch import current_label
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.purse import WHOLE
from prefect_governor.blocks.ledger.postgres.cache import Cache, Hot
from prefect_governor.blocks.ledger.postgres.ended import EndedReads
from prefect_governor.blocks.ledger.postgres.rows import PostgresRows
from prefect_governor.blocks.ledger.postgres.spends import DRAWN, Spends, drawn_json
from prefect_governor.blocks.ledger.postgres.values import Row, to_allocation, to_record
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import CallRecord, CallState, Reply, ReplyKey
from prefect_governor.blocks.records.notices import Audit

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")


class Reads(Spends, EndedReads):
    """The reads of `store.Store`, each a statement or two on the reading connection."""

    @abstractmethod
    def now(self) -> Instant: ...

    @abstractmethod
    def _read(self, work: "Callable[[Connection[Any]], T]") -> T:
        """Do what only reads."""

    def read_reply(self, key: ReplyKey) -> Reply | None:
        rows = self._all(
            "SELECT body, content_type FROM replies"
            " WHERE run_id = %s AND item = %s AND call_index = %s AND request_hash = %s",
            [key.run_id, storable(key.item), key.call_index, key.request_hash],
        )
        return Reply(key, bytes(rows[0]["body"]), rows[0]["content_type"]) if rows else None

    def read_items(
        self, run_id: str, keys: Collection[str] | None = None
    ) -> dict[tuple[str, str], str]:
        sql = "SELECT key, input_hash, record FROM items WHERE run_id = %s"
        values: list[Any] = [run_id]
        if keys is not None:
            sql += " AND key = ANY(%s::text[])"
            values.append([storable(key) for key in keys])
        rows = self._all(sql, values)
        return {(row["key"], row["input_hash"]): row["record"] for row in rows}

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        def work(connection: "Connection[Any]") -> tuple[Account, Purse] | None:
            rows = self._rows(connection)
            known = rows.account(account)
            if known is None:
                return None
            chosen = label or current_label(*known, rows.now)
            return known[0], rows.purse(known[0], chosen)

        return self._read(work)

    def read_gate(self, key: str) -> Gate | None:
        return self._read(lambda connection: self._rows(connection).gate(key))

    def read_upstreams(self) -> list[Gate]:
        found = self._all("SELECT key FROM limits WHERE adaptive IS NOT NULL ORDER BY key", [])

        def work(connection: "Connection[Any]") -> list[Gate]:
            rows = self._rows(connection)
            gates = (rows.gate(row["key"]) for row in found)
            return [gate for gate in gates if gate is not None]

        return self._read(work)

    def read_learned(self, model: str) -> Learned | None:
        return self._read(lambda connection: self._rows(connection).learned(model))

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
        conditions, values = _conditions(account, label, since_wall)
        if flow is not None:
            conditions.append("flow = %s")
            values.append(flow)
        if observed is not None:
            # The first part is what the small index is of.
            conditions.append("observed <> '' AND left(observed, %s) = %s")
            values += [len(observed), observed]
        rows = self._all(
            "SELECT reservations.*, owners.pid FROM reservations LEFT JOIN owners USING (owner)"
            " WHERE state = ANY(%s::text[])"
            + "".join(f" AND {condition}" for condition in conditions)
            + " ORDER BY created_wall DESC, seq DESC LIMIT %s",
            [list(states), *values, most],
        )
        return [to_record(row) for row in reversed(rows)]

    def read_allocations(self, account: str) -> list[tuple[Allocation, Account, Purse]]:
        def work(connection: "Connection[Any]") -> list[tuple[Allocation, Account, Purse]]:
            rows = self._rows(connection)
            found = connection.execute(
                'SELECT key, label, within, "group", elastic, owner, closed FROM allocations'
                " WHERE NOT closed AND EXISTS (SELECT 1 FROM jsonb_array_elements(within) AS part"
                ' WHERE part ->> 0 = %s) ORDER BY key COLLATE "C"',
                [account],
            ).fetchall()
            held = []
            for allocation in map(to_allocation, found):
                known = rows.account(allocation.key)
                if known is not None:
                    held.append((allocation, known[0], rows.purse(known[0], WHOLE)))
            return held

        return self._read(work)

    def read_audit(self, subject: str | None = None) -> list[Audit]:
        rows = self._all(
            "SELECT action, subject, by, reason, evidence, before, after, wall FROM audit"
            + ("" if subject is None else " WHERE subject = %s")
            + " ORDER BY id",
            [] if subject is None else [subject],
        )
        return [Audit(**row) for row in rows]

    def _rows(self, connection: "Connection[Any]") -> PostgresRows:
        def ask(sql: str, values: Sequence[Any]) -> list[Row]:
            return connection.execute(sql, values).fetchall()

        return PostgresRows(connection, self.now(), Cache(ask, Hot()))

    def _all(self, sql: str, values: list[Any]) -> list[Row]:
        return self._read(lambda connection: connection.execute(sql, values).fetchall())


def _conditions(
    account: str | None, label: str | None, since_wall: int | None
) -> tuple[list[str], list[Any]]:
    """SQL conditions on a call, with their values."""
    conditions: list[str] = []
    values: list[Any] = []
    if account is not None:
        conditions.append(DRAWN)
        values.append(drawn_json(account, label))
    if since_wall is not None:
        conditions.append("created_wall >= %s")
        values.append(since_wall)
    return conditions, values
