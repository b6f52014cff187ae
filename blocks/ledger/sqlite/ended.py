"""What a SQLite ledger keeps of calls and runs that are over."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager

from prefect_governor.blocks.ledger.sqlite.kept import KeptRows
from prefect_governor.blocks.ledger.sqlite.values import purses_text, tags_text, to_purses
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.calls import Attribution, Usage
from prefect_governor.blocks.records.sums import CallSum, EndedCall, LedgerSize, OldCall

# Fewer values than any SQLite takes in one statement.
_MOST_IDS = 500

_ADD_SUM = (
    "INSERT INTO sums (key, start_wall, accounts, tags, flow, deployment, task, model, user, label,"
    " calls, spent_nano, input_tokens, output_tokens, cached_input_tokens)"
    f" VALUES (?{', ?' * 14}) ON CONFLICT (key) DO UPDATE SET"
    " calls = calls + excluded.calls, spent_nano = spent_nano + excluded.spent_nano,"
    " input_tokens = input_tokens + excluded.input_tokens,"
    " output_tokens = output_tokens + excluded.output_tokens,"
    " cached_input_tokens = cached_input_tokens + excluded.cached_input_tokens"
)
_READ_OLD = (
    "SELECT call_id, created_wall, run_id FROM reservations WHERE created_wall < ?"
    " AND created_wall >= ? AND (created_wall > ? OR call_id > ?)"
    " AND state IN ('spent', 'released') AND COALESCE(observed, '') = ''"
    " AND NOT EXISTS (SELECT 1 FROM audit WHERE subject = call_id)"
    " ORDER BY created_wall, call_id LIMIT ?"
)


class EndedRows(KeptRows):
    """The part of `store.Rows` about what is over."""

    def ended_calls(self, call_ids: Iterable[str]) -> list[EndedCall]:
        wanted, found = list(dict.fromkeys(call_ids)), []
        for start in range(0, len(wanted), _MOST_IDS):
            some = wanted[start : start + _MOST_IDS]
            rows = self._db.execute(
                "SELECT * FROM reservations WHERE state IN ('spent', 'released')"
                f" AND call_id IN (?{', ?' * (len(some) - 1)})",
                some,
            )
            found += [_to_ended(row) for row in rows]
        return found

    def add_sums(self, sums: Iterable[CallSum]) -> None:
        self._db.executemany(_ADD_SUM, [_values(each) for each in sums])

    def remove_replies(self, run_id: str, most: int) -> int:
        removed = 0
        for table, key in (("replies", "rowid"), ("items", "rowid")):
            if removed < most:
                removed += self._db.execute(
                    f"DELETE FROM {table} WHERE {key} IN"
                    f" (SELECT {key} FROM {table} WHERE run_id = ? LIMIT ?)",
                    (run_id, most - removed),
                ).rowcount
        return removed


class EndedReads(ABC):
    """The part of a `SQLiteStore`'s reads about what is over."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[sqlite3.Connection]: ...

    @abstractmethod
    def _all(self, sql: str, values: tuple[object, ...]) -> list[sqlite3.Row]: ...

    def read_old(self, before_wall: int, after: OldCall | None, most: int) -> list[OldCall]:
        since, call_id = (-1, "") if after is None else (after.created_wall, after.call_id)
        rows = self._all(_READ_OLD, (before_wall, since, since, call_id, most))
        return [OldCall(row["call_id"], row["created_wall"], row["run_id"]) for row in rows]

    def read_last_call(self, run_id: str) -> int:
        sql = "SELECT COALESCE(MAX(created_wall), 0) AS last FROM reservations WHERE run_id = ?"
        (row,) = self._all(sql, (run_id,))
        return int(row["last"])

    def read_has_replies(self, run_id: str) -> bool:
        (row,) = self._all(
            "SELECT EXISTS (SELECT 1 FROM replies WHERE run_id = ?1)"
            " OR EXISTS (SELECT 1 FROM items WHERE run_id = ?1) AS kept",
            (run_id,),
        )
        return bool(row["kept"])

    def read_size(self) -> LedgerSize:
        with self._read() as connection:
            page, pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
        return LedgerSize(page * pages, page * free)


def give_back(connection: sqlite3.Connection, most_bytes: int) -> int:
    """Shorten the file by free pages, at most by so many bytes. Of a file that an earlier release
    made, none: SQLite has to be told when it makes one (`auto_vacuum`)."""
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    (before,) = connection.execute("PRAGMA freelist_count").fetchone()
    # A step of it frees one page; it stops with the cursor.
    connection.execute(f"PRAGMA incremental_vacuum({max(1, most_bytes // page)})").fetchall()
    (after,) = connection.execute("PRAGMA freelist_count").fetchone()
    return max(0, int(before - after) * int(page))


def _to_ended(row: sqlite3.Row) -> EndedCall:
    usage = None
    if row["state"] == "spent":
        usage = Usage(
            row["spent_nano"], row["input_tokens"], row["output_tokens"], row["cached_input_tokens"]
        )
    who = Attribution(
        flow=row["flow"],
        deployment=row["deployment"],
        task=row["task"],
        tags=tuple(json.loads(row["tags"])),
        model=row["model"],
        user=row["user"],
        label=row["label"],
    )
    accounts = to_purses(row["accounts"])
    return EndedCall(row["call_id"], row["state"], row["created_wall"], accounts, usage, who)


def _values(each: CallSum) -> tuple[object, ...]:
    who, usage = each.who, each.usage
    texts = [who.flow, who.deployment, who.task, who.model, who.user, who.label]
    return (
        *(each.key, each.start_wall, purses_text(each.accounts), tags_text(who.tags)),
        *(None if text is None else storable(text) for text in texts),
        *(each.calls, usage.nano, usage.input_tokens, usage.output_tokens),
        usage.cached_input_tokens,
    )
