"""Rows of one PostgreSQL transaction beside the money: who is there, what is learned and told."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.store import OwnerRow
from prefect_governor.blocks.ledger.postgres.cache import Cache, Row, Table
from prefect_governor.blocks.ledger.postgres.values import dump
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.calls import Reply
from prefect_governor.blocks.records.chunks import Chunk
from prefect_governor.blocks.records.notices import Audit, Notice

if TYPE_CHECKING:
    from psycopg import Connection


class KeptRows:
    """See `store.Rows`. `wrote` says that something was written that may help who waits."""

    def __init__(self, connection: "Connection[Any]", now: Instant, cache: Cache) -> None:
        self._db = connection
        self._cache = cache
        self.now = now
        self.wrote = False

    # Processes

    def owners(self) -> list[OwnerRow]:
        # Whoever has calls in flight is one, whatever became of its row.
        rows = self._all(
            "SELECT owner, pid, renewed FROM owners UNION ALL"
            " SELECT DISTINCT owner, 0, 0 FROM reservations WHERE state = 'reserved'"
            " AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.owner = reservations.owner)"
            " UNION SELECT owner, 0, 0 FROM allocations WHERE NOT closed AND owner IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.owner = allocations.owner)"
        )
        return [OwnerRow(row["owner"], row["pid"], row["renewed"]) for row in rows]

    def renew_owner(self, owner: str, pid: int) -> None:
        # Nobody waits for this: it wakes nobody.
        self.flush()
        self._db.execute(
            "INSERT INTO owners (owner, pid, renewed, started_wall) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (owner) DO UPDATE SET pid = excluded.pid, renewed = excluded.renewed",
            (owner, pid, self.now.boot, self.now.wall),
        )

    def remove_owner(self, owner: str) -> None:
        self._cache.heads = None
        for table in ("owners", "waiting", "heads"):
            self._write(f"DELETE FROM {table} WHERE owner = %s", owner)

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        counts = {key: calls for key, calls in waiting.items() if calls}
        self._write("DELETE FROM waiting WHERE owner = %s", owner)
        if counts:
            self._write(
                "INSERT INTO waiting (owner, limit_key, calls)"
                " SELECT %s, * FROM unnest(%s::text[], %s::bigint[])",
                owner,
                list(counts),
                list(counts.values()),
            )

    def put_heads(self, owner: str, heads: Mapping[str, Head]) -> None:
        self._cache.heads = None
        self._write("DELETE FROM heads WHERE owner = %s", owner)
        if heads:
            self._write(
                "INSERT INTO heads (owner, said, resource, since, claim)"
                " SELECT %s, %s, * FROM unnest(%s::text[], %s::bigint[], %s::text[])",
                owner,
                self.now.boot,
                list(heads),
                [head.since for head in heads.values()],
                [head.to_text() for head in heads.values()],
            )

    def heads(self, owner: str, heard_since: int) -> dict[str, list[Head]]:
        if self._cache.heads is None:
            rows = self._all("SELECT owner, resource, since, said, claim FROM heads")
            self._cache.heads = [
                (row["owner"], row["resource"], row["since"], row["said"], row["claim"])
                for row in rows
            ]
        found: dict[str, list[Head]] = {}
        for whose, resource, since, said, claim in sorted(self._cache.heads):
            if whose != owner and said >= heard_since:
                found.setdefault(resource, []).append(Head.of_text(since, claim))
        return found

    def demand(self, limit_key: str) -> int:
        (row,) = self._all(
            "SELECT (COALESCE((SELECT in_flight FROM limits WHERE key = %s), 0) + COALESCE("
            "(SELECT SUM(calls) FROM waiting WHERE limit_key = %s), 0))::bigint AS calls",
            limit_key,
            limit_key,
        )
        return int(row["calls"])

    # What is kept and told

    def learned(self, model: str) -> Learned | None:
        row = self._get("learned", model)
        return None if row is None else Learned.from_text(model, row["record"])

    def put_learned(self, learned: Learned) -> None:
        self._cache.forget("learned", learned.model)
        self._write(
            "INSERT INTO learned (model, record) VALUES (%s, %s)"
            " ON CONFLICT (model) DO UPDATE SET record = excluded.record",
            learned.model,
            learned.to_text(),
        )

    def mark(self, subject: str, window: str, name: str) -> int:
        rows = self._all(
            'SELECT value FROM marks WHERE subject = %s AND "window" = %s AND name = %s',
            subject,
            window,
            name,
        )
        return int(rows[0]["value"]) if rows else 0

    def put_mark(self, subject: str, window: str, name: str, value: int) -> None:
        self._write(
            'INSERT INTO marks (subject, "window", name, value) VALUES (%s, %s, %s, %s)'
            ' ON CONFLICT (subject, "window", name) DO UPDATE SET value = excluded.value',
            subject,
            window,
            name,
            value,
        )

    def add_notice(self, notice: Notice) -> None:
        self._write(
            'INSERT INTO notices (kind, subject, name, "window", payload, wall)'
            " VALUES (%s, %s, %s, %s, %s, %s)",
            notice.kind,
            notice.subject,
            storable(notice.name),
            notice.window,
            dump(notice.payload),
            notice.wall,
        )

    def notices(self, most: int) -> list[Notice]:
        rows = self._all(
            'SELECT kind, subject, name, "window", payload, wall, id FROM notices'
            " ORDER BY id LIMIT %s",
            most,
        )
        return [Notice(**{**row, "payload": json.loads(row["payload"])}) for row in rows]

    def remove_notices(self, ids: Iterable[int]) -> None:
        self._write("DELETE FROM notices WHERE id = ANY(%s::bigint[])", list(ids))

    def add_audit(self, audit: Audit) -> None:
        self._write(
            "INSERT INTO audit (action, subject, by, reason, evidence, before, after, wall)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            audit.action,
            audit.subject,
            storable(audit.by),
            storable(audit.reason),
            None if audit.evidence is None else storable(audit.evidence),
            audit.before,
            audit.after,
            audit.wall,
        )

    def add_reply(self, reply: Reply) -> None:
        key = reply.key
        self._write(
            "INSERT INTO replies (run_id, item, call_index, request_hash, content_type, body)"
            " VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (run_id, item, call_index, request_hash) DO UPDATE SET"
            " content_type = excluded.content_type, body = excluded.body",
            key.run_id,
            storable(key.item),
            key.call_index,
            key.request_hash,
            storable(reply.content_type),
            reply.body,
        )

    def put_item(self, run_id: str, key: str, input_hash: str, record: str) -> None:
        self._write(
            "INSERT INTO items (run_id, key, input_hash, record) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (run_id, key, input_hash) DO UPDATE SET record = excluded.record",
            run_id,
            storable(key),
            input_hash,
            storable(record),
        )

    def chunks(self, work: str) -> list[Chunk]:
        sql = "SELECT work, number, owner, attempt, done FROM chunks WHERE work = %s"
        return [Chunk(**row) for row in self._all(f"{sql} ORDER BY number", work)]

    def put_chunk(self, chunk: Chunk) -> None:
        self._write(
            "INSERT INTO chunks (work, number, owner, attempt, done) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (work, number) DO UPDATE SET owner = excluded.owner,"
            " attempt = excluded.attempt, done = excluded.done",
            chunk.work,
            chunk.number,
            chunk.owner,
            chunk.attempt,
            chunk.done,
        )

    def remove_chunks(self, work: str) -> None:
        self._write("DELETE FROM chunks WHERE work = %s", work)

    def flush(self) -> None:
        """Send what is kept until now, before anything is read or written beside it."""

    def _write(self, sql: str, *values: object) -> None:
        self.flush()
        self.wrote = True
        self._db.execute(sql, values)

    def _all(self, sql: str, *values: object) -> list[Row]:
        self.flush()
        return self._cache.ask(sql, values)

    def _get(self, table: Table, key: Any) -> Row | None:
        self.flush()
        return self._cache.get(table, key)
