"""What a PostgreSQL ledger keeps of calls and runs that are over."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from prefect_governor.blocks.ledger.postgres.kept import KeptRows
from prefect_governor.blocks.ledger.postgres.values import Row, dump
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.records.calls import Attribution, Usage
from prefect_governor.blocks.records.sums import CallSum, EndedCall, LedgerSize, OldCall

_WHO = ("flow", "deployment", "task", "model", "user", "label")
_SUM = (
    'key, start_wall, accounts, tags, flow, deployment, task, model, "user", label, calls,'
    " spent_nano, input_tokens, output_tokens, cached_input_tokens"
)
_ADDED = ("calls", "spent_nano", "input_tokens", "output_tokens", "cached_input_tokens")
_ADD_SUMS = (
    f"INSERT INTO sums ({_SUM}) SELECT {_SUM} FROM json_populate_recordset(NULL::sums, %s::json)"
    " ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = sums.{name} + excluded.{name}" for name in _ADDED)
)
_READ_OLD = (
    "SELECT call_id, created_wall, run_id FROM reservations WHERE created_wall < %s"
    ' AND created_wall >= %s AND (created_wall > %s OR call_id COLLATE "C" > %s)'
    " AND state IN ('spent', 'released') AND COALESCE(observed, '') = ''"
    " AND NOT EXISTS (SELECT 1 FROM audit WHERE subject = call_id)"
    ' ORDER BY created_wall, call_id COLLATE "C" LIMIT %s'
)
# Indexes and what is kept beside the rows (TOAST) included.
_SIZE = (
    "SELECT COALESCE(SUM(pg_total_relation_size(pg_class.oid)), 0)::bigint AS bytes FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
)


class EndedRows(KeptRows):
    """The part of `store.Rows` about what is over. Nobody waits for it: it wakes nobody."""

    def ended_calls(self, call_ids: Iterable[str]) -> list[EndedCall]:
        rows = self._all(
            "SELECT * FROM reservations WHERE state IN ('spent', 'released')"
            " AND call_id = ANY(%s::text[])",
            list(call_ids),
        )
        return [_to_ended(row) for row in rows]

    def add_sums(self, sums: Iterable[CallSum]) -> None:
        rows = [_row(each) for each in sums]
        if rows:
            self.flush()
            self._db.execute(_ADD_SUMS, [dump(rows)])

    def remove_replies(self, run_id: str, most: int) -> int:
        removed = 0
        for table in ("replies", "items"):
            if removed < most:
                rows = self._all(
                    f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("
                    f"SELECT ctid FROM {table} WHERE run_id = %s LIMIT %s)) RETURNING 1",
                    run_id,
                    most - removed,
                )
                removed += len(rows)
        return removed


class EndedReads(ABC):
    """The part of a `PostgresStore`'s reads about what is over."""

    @abstractmethod
    def _all(self, sql: str, values: list[Any]) -> list[Row]: ...

    def read_old(self, before_wall: int, after: OldCall | None, most: int) -> list[OldCall]:
        since, call_id = (-1, "") if after is None else (after.created_wall, after.call_id)
        rows = self._all(_READ_OLD, [before_wall, since, since, call_id, most])
        return [OldCall(**row) for row in rows]

    def read_last_call(self, run_id: str) -> int:
        (row,) = self._all(
            "SELECT COALESCE(MAX(created_wall), 0) AS last FROM reservations WHERE run_id = %s",
            [run_id],
        )
        return int(row["last"])

    def read_has_replies(self, run_id: str) -> bool:
        (row,) = self._all(
            "SELECT EXISTS (SELECT 1 FROM replies WHERE run_id = %s)"
            " OR EXISTS (SELECT 1 FROM items WHERE run_id = %s) AS kept",
            [run_id, run_id],
        )
        return bool(row["kept"])

    def read_size(self) -> LedgerSize:
        (row,) = self._all(_SIZE, [])
        return LedgerSize(row["bytes"], 0)

    def give_back_space(self, most_bytes: int) -> int:
        """Nothing: the server's autovacuum frees rows that are gone, for those to come."""
        return 0


def _to_ended(row: Row) -> EndedCall:
    usage = None
    if row["state"] == "spent":
        usage = Usage(
            row["spent_nano"], row["input_tokens"], row["output_tokens"], row["cached_input_tokens"]
        )
    who = Attribution(tags=tuple(row["tags"]), **{name: row[name] for name in _WHO})
    accounts = tuple((account, label) for account, label in row["accounts"])
    return EndedCall(row["call_id"], row["state"], row["created_wall"], accounts, usage, who)


def _row(each: CallSum) -> dict[str, Any]:
    texts = {name: getattr(each.who, name) for name in _WHO}
    return {
        "key": each.key,
        "start_wall": each.start_wall,
        "accounts": each.accounts,
        "tags": each.who.tags,
        **{name: None if text is None else storable(text) for name, text in texts.items()},
        "calls": each.calls,
        "spent_nano": each.usage.nano,
        "input_tokens": each.usage.input_tokens,
        "output_tokens": each.usage.output_tokens,
        "cached_input_tokens": each.usage.cached_input_tokens,
    }
