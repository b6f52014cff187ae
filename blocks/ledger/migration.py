"""Versioned migrations: numbered SQL files beside each store, applied in order.

A ledger of an older release is brought up to date when it is opened. One of a newer release is
used as it is where that release has said that this one may: a migration writes into `meta`, as
`floor`, its own number and the oldest schema whose releases can spend beside it without a wrong
figure. Below that, or where the last migration has said nothing, the ledger is refused with the
fix, before anything is spent. So migrations only add: what is open while a newer release migrates
goes on. The caller holds the ledger's one lock, so that two first opens take turns.
"""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.errors import LedgerUnavailable

if TYPE_CHECKING:
    from psycopg import Connection

FOLDER = Path(__file__).parent


def migrations(dialect: str) -> list[tuple[int, str]]:
    """(number, SQL) of every migration of a dialect, in order."""
    files = sorted((FOLDER / dialect / "migrations").glob("[0-9]*.sql"))
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: sqlite3.Connection, dialect: str = "sqlite") -> None:
    """Bring a SQLite ledger up to this release's schema, each step in a transaction of its own.

    Raises LedgerUnavailable for a ledger of a newer release that lets none as old as this spend.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    row = None
    if version:
        row = connection.execute("SELECT value FROM meta WHERE key = 'floor'").fetchone()
    for number, sql in _missing(dialect, version, row and row[0]):
        connection.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")


def migrate_postgres(connection: "Connection[Any]", schema: str) -> None:
    """Bring a PostgreSQL ledger up to this release's schema, within the caller's transaction.

    Makes the schema where it is missing. `schema` is a plain lower-case name.

    Raises LedgerUnavailable for a ledger of a newer release that lets none as old as this spend.
    """
    # Not IF NOT EXISTS: that asks for the right to make one even where it is there.
    if not _found(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
        connection.execute(f'CREATE SCHEMA "{schema}"')
    version, floor = 0, None
    if _found(connection, "SELECT 1 WHERE to_regclass(%s) IS NOT NULL", f"{schema}.meta"):
        row = _found(connection, "SELECT value FROM meta WHERE key = %s", "schema")
        version = int(row["value"]) if row else 0
        row = _found(connection, "SELECT value FROM meta WHERE key = %s", "floor")
        floor = row and row["value"]
    for number, sql in _missing("postgres", version, floor):
        connection.execute(sql)
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('schema', %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (str(number),),
        )


def may_spend(dialect: str, version: int, floor: str | None) -> bool:
    """Whether this release may spend in a ledger of a schema, whose `meta` says this `floor`."""
    newest = migrations(dialect)[-1][0]
    if version <= newest:
        return True
    said, _, oldest = (floor or "").partition(" ")
    return said == str(version) and oldest.isdecimal() and int(oldest) <= newest


def _missing(dialect: str, version: int, floor: str | None) -> list[tuple[int, str]]:
    """The migrations that a ledger of this version lacks."""
    known = migrations(dialect)
    if not may_spend(dialect, version, floor):
        raise LedgerUnavailable(
            f"the ledger has schema {version}, this release knows {known[-1][0]}: a newer"
            " prefect-governor wrote it; upgrade this one (`pip install -U prefect-governor`)"
        )
    return [(number, sql) for number, sql in known if number > version]


def _found(connection: "Connection[Any]", sql: str, value: str) -> Any:
    return connection.execute(sql, (value,)).fetchone()
