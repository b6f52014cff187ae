"""Who spent what of a PostgreSQL ledger: of the calls that it keeps, and of the older sums."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefect_governor.blocks.ledger.decision.store import NOTHING, Piece, Spend
from prefect_governor.blocks.ledger.postgres.values import WHO, Row
from prefect_governor.blocks.ledger.summing import quarter_of
from prefect_governor.blocks.machine.text import storable

# Of whom a call was for: what a sum does not keep.
_OF_CALLS = frozenset(["flow_run_id", "task_run_id", "run_id", "item"])

_FIGURES = (
    "COUNT(*) AS calls,"
    " COALESCE(SUM(spent_nano), 0)::bigint AS spent,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'unconfirmed'), 0)::bigint AS unconfirmed,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'reserved'), 0)::bigint AS reserved,"
    " COALESCE(SUM(input_tokens), 0)::bigint AS input,"
    " COALESCE(SUM(output_tokens), 0)::bigint AS output"
)
_SUMMED = (
    "SUM(calls)::bigint AS calls, SUM(spent_nano)::bigint AS spent, 0::bigint AS unconfirmed,"
    " 0::bigint AS reserved, SUM(input_tokens)::bigint AS input,"
    " SUM(output_tokens)::bigint AS output"
)
_TOGETHER = ", ".join(
    f"SUM({name})::bigint AS {name}"
    for name in ("calls", "spent", "unconfirmed", "reserved", "input", "output")
)
# Slots are no spend.
_COUNTED = "state <> 'released' AND accounts <> '[]'"
# That a call drew on an account: among its pairs is one that holds this. No label is another
# account's key.
DRAWN = "accounts @> %s::jsonb"


def drawn_json(account: str, label: str | None) -> str:
    """What `accounts` holds where a call drew on an account, in a window where one is given."""
    return json.dumps([[account] if label is None else [account, label]])


class Spends(ABC):
    """The sums that are read of a `PostgresStore`."""

    @abstractmethod
    def _all(self, sql: str, values: list[Any]) -> list[Row]:
        """What a query finds."""

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
        names = [*where] if column == "tag" else [column, *where]
        if unknown := [each for each in names if each not in WHO]:
            raise ValueError(f"not an attribution column: {unknown}")
        joined, name = "", f'"{column}"'
        if column == "tag":
            joined = " LEFT JOIN LATERAL jsonb_array_elements_text(tags) AS tag ON true"
            name = "tag"
        conditions = [f'"{each}" = %s' for each in where]
        values: list[Any] = [storable(each) for each in where.values()]
        if keys is not None:
            conditions.append(f"{name} = ANY(%s::text[])")
            values.append([storable(key) for key in keys])
        if account is not None:
            conditions.append(DRAWN)
            values.append(drawn_json(account, label))
        calls, sums = [_COUNTED, *conditions], ["true", *conditions]
        found, of_sums = list(values), list(values)
        if since_wall is not None:
            calls.append("created_wall >= %s")
            found.append(since_wall)
            sums.append("start_wall >= %s")
            of_sums.append(quarter_of(since_wall))
        parts = [
            f"SELECT {name} AS name, {_FIGURES} FROM reservations{joined}"
            f" WHERE {' AND '.join(calls)} GROUP BY {name}"
        ]
        if not _OF_CALLS.intersection(where) and not (column in _OF_CALLS and keys is not None):
            shown = "NULL::text" if column in _OF_CALLS else name
            parts.append(
                f"SELECT {shown} AS name, {_SUMMED} FROM sums{joined}"
                f" WHERE {' AND '.join(sums)} GROUP BY 1"
            )
            found += of_sums
        rows = self._all(
            f"SELECT name, {_TOGETHER} FROM ({' UNION ALL '.join(parts)}) AS all_of GROUP BY name",
            found,
        )
        return {row["name"]: _spend(row) for row in rows}

    def read_spend_over_time(self, starts: Sequence[int], *, account: str) -> list[Spend]:
        quarters = [quarter_of(each) for each in starts]
        drawn = drawn_json(account, None)
        rows = self._all(
            f"SELECT place, {_TOGETHER} FROM ("
            f"SELECT width_bucket(created_wall, %s::bigint[]) AS place, {_FIGURES}"
            f" FROM reservations WHERE {_COUNTED} AND created_wall >= %s AND {DRAWN} GROUP BY 1"
            f" UNION ALL SELECT width_bucket(start_wall, %s::bigint[]) AS place, {_SUMMED}"
            f" FROM sums WHERE start_wall >= %s AND {DRAWN} GROUP BY 1) AS all_of GROUP BY place",
            [list(starts), min(starts), drawn, quarters, min(quarters), drawn],
        )
        found = {row["place"]: _spend(row) for row in rows}
        return [found.get(place, NOTHING) for place in range(1, len(starts) + 1)]

    def read_dearest(
        self, most: int, *, account: str, label: str | None = None, since_wall: int | None = None
    ) -> list[Piece]:
        rows = self._all(
            "SELECT *, spent + unconfirmed AS gone FROM ("
            f"SELECT flow, flow_run_id, COALESCE(item, task) AS name, {_FIGURES} FROM reservations"
            f" WHERE {_COUNTED} AND {DRAWN} AND created_wall >= %s"
            " GROUP BY flow, flow_run_id, COALESCE(item, task)) AS pieces"
            ' ORDER BY gone DESC, flow_run_id COLLATE "C" NULLS FIRST,'
            ' name COLLATE "C" NULLS FIRST LIMIT %s',
            [drawn_json(account, label), since_wall or 0, most],
        )
        return [Piece(row["flow"], row["flow_run_id"], row["name"], _spend(row)) for row in rows]


def _spend(row: Row) -> Spend:
    return Spend(
        row["calls"], row["spent"], row["unconfirmed"], row["reserved"], row["input"], row["output"]
    )
