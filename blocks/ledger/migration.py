"""Versioned migrations: numbered SQL files, applied in order, each in its own transaction."""

import sqlite3
from pathlib import Path

from prefect_governor.blocks.errors import LedgerUnavailable

_FOLDER = Path(__file__).parent / "migrations"


def migrations(dialect: str) -> list[tuple[int, str]]:
    """(number, SQL) of every migration of a dialect, in order."""
    files = sorted((_FOLDER / dialect).glob("[0-9]*.sql"))
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: sqlite3.Connection, dialect: str) -> None:
    """Bring a SQLite ledger up to this release's schema.

    Raises LedgerUnavailable for a ledger that a newer release has written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations(dialect)
    newest = known[-1][0]
    if version > newest:
        raise LedgerUnavailable(
            f"the ledger has schema {version}, this release knows {newest}: a newer"
            " prefect-governor wrote it; upgrade this one (`pip install -U prefect-governor`)"
        )
    for number, sql in known:
        if number > version:
            connection.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
