"""Who spent what of a SQLite ledger: of the calls that it keeps, and of the sums of older ones."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from prefect_governor.blocks.ledger.decision.store import NOTHING, Piece, Spend
from prefect_governor.blocks.ledger.summing import quarter_of
from prefect_governor.blocks.machine.text import storable

# What a sum keeps of whom its calls were for, and what only a call says.
_OF_SUMS = frozenset(["flow", "deployment", "task", "model", "user", "label"])
_OF_CALLS = frozenset(["flow_run_id", "task_run_id", "run_id", "item"])

_FIGURES = (
    "COUNT(*) AS calls,"
    " COALESCE(SUM(spent_nano), 0) AS spent,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'unconfirmed'), 0) AS unconfirmed,"
    " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'reserved'), 0) AS reserved,"
    " COALESCE(SUM(input_tokens), 0) AS input,"
    " COALESCE(SUM(output_tokens), 0) AS output"
)
_SUMMED = (
    "SUM(calls) AS calls, SUM(spent_nano) AS spent, 0 AS unconfirmed, 0 AS reserved,"
    " SUM(input_tokens) AS input, SUM(output_tokens) AS output"
)
_TOGETHER = (
    "SUM(calls) AS calls, SUM(spent) AS spent, SUM(unconfirmed) AS unconfirmed,"
    " SUM(reserved) AS reserved, SUM(input) AS input, SUM(output) AS output"
)
# Slots are no spend.
_COUNTED = "state <> 'released' AND accounts <> '[]'"
# That a call drew on an account. `accounts` is the text that `json.dumps` makes of its pairs, in
# which no text can hold a quote as it is: so what is looked for stands there as a pair or not at
# all. To take each apart as JSON costs twice as much as all the rest.
_DRAWN = "instr(accounts, ?) > 0"


def drawn_text(account: str, label: str | None) -> str:
    """What `accounts` holds where a call drew on an account, in a window where one is given."""
    end = "," if label is None else f",{json.dumps(label)}]"
    return f"[{json.dumps(account)}{end}"


class Spends(ABC):
    """The sums that are read of a `SQLiteStore`."""

    @abstractmethod
    def _all(self, sql: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
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
        if unknown := [name for name in names if name not in _OF_SUMS | _OF_CALLS]:
            raise ValueError(f"not an attribution column: {unknown}")
        joined, name = ("", f'"{column}"')
        if column == "tag":
            joined, name = " LEFT JOIN json_each(tags) AS tag", "tag.value"
        conditions = [f'"{each}" = ?' for each in where]
        values: list[object] = [storable(each) for each in where.values()]
        if keys is not None:
            conditions.append(f"{name} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps([storable(key) for key in keys]))
        if account is not None:
            conditions.append(_DRAWN)
            values.append(drawn_text(account, label))
        of_calls, of_sums = list(values), list(values)
        also = [*conditions]
        if since_wall is not None:
            conditions.append("created_wall >= ?")
            of_calls.append(since_wall)
            also.append("start_wall >= ?")
            of_sums.append(quarter_of(since_wall))
        parts = [
            f"SELECT {name} AS name, {_FIGURES} FROM reservations{joined}"
            f" WHERE {' AND '.join((_COUNTED, *conditions))} GROUP BY {name}"
        ]
        found = list(of_calls)
        if not _OF_CALLS.intersection(where) and not (column in _OF_CALLS and keys is not None):
            shown = "NULL" if column in _OF_CALLS else name
            parts.append(
                f"SELECT {shown} AS name, {_SUMMED} FROM sums{joined}"
                f" WHERE {' AND '.join(('1', *also))} GROUP BY {shown}"
            )
            found += of_sums
        rows = self._all(
            f"SELECT name, {_TOGETHER} FROM ({' UNION ALL '.join(parts)}) GROUP BY name",
            tuple(found),
        )
        return {row["name"]: _spend(row) for row in rows}

    def read_spend_over_time(self, starts: Sequence[int], *, account: str) -> list[Spend]:
        quarters = [quarter_of(each) for each in starts]
        place = "(SELECT COUNT(*) FROM json_each(?) WHERE value <="
        text = drawn_text(account, None)
        rows = self._all(
            f"SELECT place, {_TOGETHER} FROM ("
            f"SELECT {place} created_wall) AS place, {_FIGURES} FROM reservations"
            f" WHERE {_COUNTED} AND created_wall >= ? AND {_DRAWN} GROUP BY place"
            f" UNION ALL SELECT {place} start_wall) AS place, {_SUMMED} FROM sums"
            f" WHERE start_wall >= ? AND {_DRAWN} GROUP BY place) GROUP BY place",
            (
                *(json.dumps(list(starts)), min(starts), text),
                *(json.dumps(quarters), min(quarters), text),
            ),
        )
        found = {row["place"]: _spend(row) for row in rows}
        return [found.get(place, NOTHING) for place in range(1, len(starts) + 1)]

    def read_dearest(
        self, most: int, *, account: str, label: str | None = None, since_wall: int | None = None
    ) -> list[Piece]:
        rows = self._all(
            f"SELECT flow, flow_run_id, COALESCE(item, task) AS name, {_FIGURES} FROM reservations"
            f" WHERE {_COUNTED} AND {_DRAWN} AND created_wall >= ?"
            " GROUP BY flow, flow_run_id, COALESCE(item, task)"
            " ORDER BY spent + unconfirmed DESC, flow_run_id, name LIMIT ?",
            (drawn_text(account, label), since_wall or 0, most),
        )
        return [Piece(row["flow"], row["flow_run_id"], row["name"], _spend(row)) for row in rows]


def _spend(row: sqlite3.Row) -> Spend:
    return Spend(
        row["calls"], row["spent"], row["unconfirmed"], row["reserved"], row["input"], row["output"]
    )
