"""What the doctor finds of ledgers: this machine's, and those on PostgreSQL."""

import sqlite3
from collections.abc import Iterator

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.work.ledgers import (
    LEDGER_FILE,
    LEDGER_URL,
    home_of,
    is_made,
    postgres_url,
)
from prefect_governor.flows.cli.doctor.finding import Finding


def ledger() -> Iterator[Finding]:
    """The ledger of governors that do not name one of their own."""
    if postgres_url(None) is None:
        yield from _on_file()
        return
    source = f"ledger: {home_of()} ({LEDGER_URL})"
    try:
        store = open_ledger(None)
    except GovernorError as error:
        yield Finding("problem", f"{source}: {error}")
        return
    assert store is not None
    try:
        yield Finding("ok", f"{source}, id {store.ledger_id[:8]}")
    finally:
        store.close()


def _on_file() -> Iterator[Finding]:
    path = state_folder() / LEDGER_FILE
    if not is_made():
        yield Finding("ok", f"ledger: none yet; the first call makes {path}")
        return
    newest = migrations("sqlite")[-1][0]
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            (name,) = connection.execute(
                "SELECT value FROM meta WHERE key = 'ledger_id'"
            ).fetchone() or ("unnamed",)
        finally:
            connection.close()
    except sqlite3.Error as error:
        todo = (
            "check that it is a file of ours, whole and readable; move it away to begin a new one,"
            " which has spent nothing"
        )
        yield Finding("problem", f"ledger: {path} cannot be read: {error}", todo)
        return
    text = f"ledger: {path}, id {name[:8]}, schema {schema}"
    if schema > newest:
        todo = f"this release knows schema {newest}: pip install -U prefect-governor"
        yield Finding("problem", text, todo)
    else:
        yield Finding("ok", text)


def open_ledger(url: str | None) -> Store | None:
    """The ledger that `url` names, as a governor does; None where a first call would make it.

    One on PostgreSQL whose database is empty is given its tables.

    Raises ConfigurationError, LedgerUnavailable.
    """
    if not is_made(url):
        return None
    elsewhere = postgres_url(url)
    if elsewhere is not None:
        from prefect_governor.blocks.ledger.postgres.store import PostgresStore

        return PostgresStore(elsewhere)
    from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore

    return SQLiteStore(state_folder() / LEDGER_FILE)
