"""Rows that a transaction is likely to need, read together with its lock: one round trip for all.

A process asks for the same few budgets and limits again and again. It remembers which, and reads
them as its transaction begins; what it did not foresee is read when it is asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

Table = Literal["accounts", "purses", "limits", "allocations", "learned"]
Head = tuple[str, str, int, int, str]
Row = Mapping[str, Any]
# Sends a query and waits for its rows.
Ask = Callable[[str, Sequence[Any]], list[Row]]

# Of each table. A run has a handful of each; more only make the first read longer.
MOST_HOT = 64

_QUERIES: Mapping[Table, str] = {
    "accounts": (
        'SELECT key, name, ceiling_nano, ceiling_tokens, "window", time_zone, version, last_label'
        " FROM accounts WHERE key = ANY(%s::text[])"
    ),
    "purses": (
        "SELECT account, label, spent_nano, unconfirmed_nano, reserved_nano, allocated_nano,"
        " spent_tokens, unconfirmed_tokens, reserved_tokens, allocated_tokens"
        " FROM purses JOIN unnest(%s::text[], %s::text[]) AS wanted (account, label)"
        " USING (account, label)"
    ),
    "limits": (
        "SELECT key, name, max_concurrent, server_limit, leased, in_flight, max_in_flight,"
        " throttled, hold_until, meters, adaptive, CASE WHEN leased THEN (SELECT COALESCE(json_agg("
        "json_build_array(slots, usable_until)), '[]') FROM leases WHERE limit_key = key) END"
        " AS leases FROM limits WHERE key = ANY(%s::text[])"
    ),
    "allocations": (
        'SELECT key, label, within, "group", elastic, owner, closed FROM allocations'
        " WHERE key = ANY(%s::text[])"
    ),
    "learned": "SELECT model AS key, record FROM learned WHERE model = ANY(%s::text[])",
}


class Hot:
    """Which rows a process asked for lately. Not thread-safe: used under the writer's lock."""

    def __init__(self) -> None:
        self._keys: dict[Table, OrderedDict[Any, None]] = {
            table: OrderedDict() for table in _QUERIES
        }

    def note(self, table: Table, key: Any) -> None:
        """It was asked for now."""
        keys = self._keys[table]
        keys[key] = None
        keys.move_to_end(key)
        if len(keys) > MOST_HOT:
            keys.popitem(last=False)

    def of(self, table: Table) -> list[Any]:
        return list(self._keys[table])


_HEADS = (
    ", (SELECT COALESCE(json_agg(json_build_array(owner, resource, since, said, claim)), '[]')"
    " FROM heads) AS heads"
)


@cache
def _foresee(tables: tuple[Table, ...]) -> str:
    """More columns of a SELECT: what is hot of some tables, each a list, and all heads."""
    return (
        "".join(
            f", (SELECT COALESCE(json_agg(found), '[]') FROM ({_QUERIES[each]}) AS found) AS {each}"
            for each in tables
        )
        + _HEADS
    )


class Cache:
    """The rows that one transaction has read; None for those that are not there.

    `heads` are all there are, (owner, resource, since, said, claim), None where they are to be read
    anew.
    """

    def __init__(self, ask: Ask, hot: Hot) -> None:
        self.ask = ask
        self._hot = hot
        self._rows: dict[Table, dict[Any, Row | None]] = {table: {} for table in _QUERIES}
        self.heads: list[Head] | None = None
        # A table of which nothing is hot is not asked for at all.
        self._foreseen: dict[Table, list[Any]] = {
            table: keys for table in _QUERIES if (keys := hot.of(table))
        }

    def question(self) -> tuple[str, list[Any]]:
        """More columns of a SELECT, and their values: all that is hot."""
        values: list[Any] = []
        for table, keys in self._foreseen.items():
            values += _values(table, keys)
        return _foresee(tuple(self._foreseen)), values

    def take_in(self, answer: Row) -> None:
        """The row that came back."""
        for table, keys in self._foreseen.items():
            self._keep(table, keys, answer[table])
        self.heads = [tuple(head) for head in answer["heads"]]

    def get(self, table: Table, key: Any) -> Row | None:
        """A row as this transaction sees it."""
        self._hot.note(table, key)
        rows = self._rows[table]
        if key not in rows:
            self._keep(table, [key], self.ask(_QUERIES[table], _values(table, [key])))
        return rows[key]

    def forget(self, table: Table, key: Any = None) -> None:
        """It was written: read it anew. Without a key, all of the table."""
        if key is None:
            self._rows[table].clear()
        else:
            self._rows[table].pop(key, None)

    def _keep(self, table: Table, keys: Iterable[Any], found: Iterable[Row]) -> None:
        rows = self._rows[table]
        rows.update(dict.fromkeys(keys))
        rows.update((_key(table, row), row) for row in found)


def _key(table: Table, row: Row) -> Any:
    return (row["account"], row["label"]) if table == "purses" else row["key"]


def _values(table: Table, keys: list[Any]) -> list[Any]:
    """What a table's query is given."""
    if table == "purses":
        return [[account for account, _ in keys], [label for _, label in keys]]
    return [keys]
