"""The rows of one SQLite transaction: who spends, who waits, and what is kept beside the money."""

import json
import sqlite3
from collections.abc import Iterable, Mapping

from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.store import Lease, OwnerRow
from prefect_governor.blocks.ledger.sqlite.memory import Memory
from prefect_governor.blocks.ledger.sqlite.values import purses_text, to_allocation, to_notice
from prefect_governor.blocks.machine.clock import Instant, boot_id
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.budgets import Allocation
from prefect_governor.blocks.records.calls import Reply
from prefect_governor.blocks.records.chunks import Chunk
from prefect_governor.blocks.records.notices import Audit, Notice


class KeptRows:
    """The half of `store.Rows` that decides nothing about money."""

    def __init__(
        self, connection: sqlite3.Connection, now: Instant, memory: Memory | None = None
    ) -> None:
        self._db = connection
        self.now = now
        self._memory = memory or Memory()

    def owners(self) -> list[OwnerRow]:
        # Whoever has calls in flight is one, whatever became of its row.
        sql = (
            "SELECT owner, pid, renewed FROM owners"
            " UNION ALL SELECT owner, 0, 0 FROM (SELECT owner FROM reservations"
            " WHERE state = 'reserved' UNION SELECT owner FROM allocations"
            " WHERE closed = 0 AND owner IS NOT NULL)"
            " WHERE owner NOT IN (SELECT owner FROM owners)"
        )
        return [OwnerRow(*row) for row in self._db.execute(sql)]

    def renew_owner(self, owner: str, pid: int) -> None:
        self._db.execute(
            "INSERT INTO owners (owner, pid, boot_id, started_wall, renewed)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner) DO UPDATE SET renewed = excluded.renewed",
            (owner, pid, boot_id(), self.now.wall, self.now.boot),
        )

    def remove_owner(self, owner: str) -> None:
        self._db.execute("DELETE FROM owners WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM waiting WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM heads WHERE owner = ?", (owner,))
        self._memory.forget("heads", None)

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        self._db.execute("DELETE FROM waiting WHERE owner = ?", (owner,))
        self._db.executemany(
            "INSERT INTO waiting (owner, limit_key, calls) VALUES (?, ?, ?)",
            [(owner, key, calls) for key, calls in waiting.items() if calls],
        )

    def put_heads(self, owner: str, heads: Mapping[str, Head]) -> None:
        own = [
            (owner, resource, head.since, self.now.boot, head.to_text())
            for resource, head in heads.items()
        ]
        self._db.execute("DELETE FROM heads WHERE owner = ?", (owner,))
        self._db.executemany(
            "INSERT INTO heads (owner, resource, since, said, claim) VALUES (?, ?, ?, ?, ?)", own
        )
        known = self._memory.known("heads", None)
        if known is not None:
            others = [each for each in known if each[0] != owner]
            self._memory.put("heads", None, sorted([*others, *own]))

    def heads(self, owner: str, heard_since: int) -> dict[str, list[Head]]:
        def read() -> list[tuple[str, str, int, int, str]]:
            sql = "SELECT owner, resource, since, said, claim FROM heads"
            return sorted(tuple(row) for row in self._db.execute(sql))

        found: dict[str, list[Head]] = {}
        for whose, resource, since, said, claim in self._memory.get("heads", None, read):
            if whose != owner and said >= heard_since:
                found.setdefault(resource, []).append(Head.of_text(since, claim))
        return found

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

    def allocation(self, key: str) -> Allocation | None:
        row = self._one("SELECT * FROM allocations WHERE key = ?", key)
        return None if row is None else to_allocation(row)

    def put_allocation(self, allocation: Allocation) -> None:
        self._db.execute(
            'INSERT OR REPLACE INTO allocations (key, label, within, "group", elastic, owner,'
            " closed) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                allocation.key,
                storable(allocation.label),
                purses_text(allocation.within),
                allocation.group,
                allocation.elastic,
                allocation.owner,
                allocation.closed,
            ),
        )

    def allocations(
        self, *, group: str | None = None, owner: str | None = None
    ) -> list[Allocation]:
        rows = self._db.execute(
            'SELECT * FROM allocations WHERE closed = 0 AND (?1 IS NULL OR "group" = ?1)'
            " AND (?2 IS NULL OR owner = ?2) ORDER BY key",
            (group, owner),
        )
        return [to_allocation(row) for row in rows]

    def learned(self, model: str) -> Learned | None:
        def read() -> Learned | None:
            row = self._one("SELECT record FROM learned WHERE model = ?", model)
            return None if row is None else Learned.from_text(model, row["record"])

        return self._memory.get("learned", model, read)

    def put_learned(self, learned: Learned) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO learned (model, record) VALUES (?, ?)",
            (learned.model, learned.to_text()),
        )
        self._memory.put("learned", learned.model, learned)

    def mark(self, subject: str, window: str, name: str) -> int:
        row = self._one(
            'SELECT value FROM marks WHERE subject = ? AND "window" = ? AND name = ?',
            subject,
            window,
            name,
        )
        return 0 if row is None else int(row["value"])

    def put_mark(self, subject: str, window: str, name: str, value: int) -> None:
        self._db.execute(
            'INSERT OR REPLACE INTO marks (subject, "window", name, value) VALUES (?, ?, ?, ?)',
            (subject, window, name, value),
        )

    def add_notice(self, notice: Notice) -> None:
        self._db.execute(
            'INSERT INTO notices (kind, subject, name, "window", payload, wall)'
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                notice.kind,
                notice.subject,
                storable(notice.name),
                notice.window,
                json.dumps(dict(notice.payload)),
                notice.wall,
            ),
        )

    def notices(self, most: int) -> list[Notice]:
        rows = self._db.execute("SELECT * FROM notices ORDER BY id LIMIT ?", (most,))
        return [to_notice(row) for row in rows]

    def remove_notices(self, ids: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM notices WHERE id = ?", [(each,) for each in ids])

    def add_audit(self, audit: Audit) -> None:
        self._db.execute(
            'INSERT INTO audit (action, subject, "by", reason, evidence, "before", "after", wall)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                audit.action,
                audit.subject,
                storable(audit.by),
                storable(audit.reason),
                None if audit.evidence is None else storable(audit.evidence),
                audit.before,
                audit.after,
                audit.wall,
            ),
        )

    def add_reply(self, reply: Reply) -> None:
        key = reply.key
        self._db.execute(
            "INSERT OR REPLACE INTO replies (run_id, item, call_index, request_hash, content_type,"
            " body) VALUES (?, ?, ?, ?, ?, ?)",
            (
                key.run_id,
                storable(key.item),
                key.call_index,
                key.request_hash,
                storable(reply.content_type),
                reply.body,
            ),
        )

    def put_item(self, run_id: str, key: str, input_hash: str, record: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO items (run_id, key, input_hash, record) VALUES (?, ?, ?, ?)",
            (run_id, storable(key), input_hash, storable(record)),
        )

    def chunks(self, work: str) -> list[Chunk]:
        sql = "SELECT work, number, owner, attempt, done FROM chunks WHERE work = ? ORDER BY number"
        rows = self._db.execute(sql, (work,))
        return [
            Chunk(name, number, owner, at, bool(done)) for name, number, owner, at, done in rows
        ]

    def put_chunk(self, chunk: Chunk) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO chunks (work, number, owner, attempt, done)"
            " VALUES (?, ?, ?, ?, ?)",
            (chunk.work, chunk.number, chunk.owner, chunk.attempt, chunk.done),
        )

    def remove_chunks(self, work: str) -> None:
        self._db.execute("DELETE FROM chunks WHERE work = ?", (work,))

    def _one(self, sql: str, *values: object) -> "sqlite3.Row | None":
        row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return row
