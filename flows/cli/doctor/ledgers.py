"""What the doctor finds of ledgers: this machine's, and those on PostgreSQL."""

import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.migration import may_spend, migrations
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import owned
from prefect_governor.blocks.work.ledgers import (
    LEDGER_FILE,
    LEDGER_URL,
    home_of,
    is_made,
    open_store,
    postgres_url,
)
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.servers import of_clock


def ledger() -> Iterator[Finding]:
    """The ledger of governors that do not name one of their own."""
    if postgres_url(None) is None:
        yield from _on_file()
        return
    where = f"{home_of()} ({LEDGER_URL})"
    try:
        store = open_store(None)
    except GovernorError as error:
        todo = "start that database, or correct its address"
        yield Finding("fail", "ledger", f"{where}: {error}", todo, f"export {LEDGER_URL}=…")
        return
    assert store is not None
    try:
        yield Finding("ok", "ledger", f"{where}, id {store.ledger_id[:8]}")
        yield from clock_of(store)
    finally:
        store.close()


def clock_of(store: Store) -> Iterator[Finding]:
    """A ledger on PostgreSQL counts windows and leases by the database's clock."""
    now: Callable[[], Instant] | None = getattr(store, "now", None)
    if now is not None:
        with store.transaction():
            ahead = (now().wall - time.time_ns()) / 1e9
        yield from of_clock("the ledger's PostgreSQL's", ahead)


def _on_file() -> Iterator[Finding]:
    path = state_folder() / LEDGER_FILE
    if not is_made():
        yield Finding("ok", "ledger", f"none yet; the first call makes {path}")
        return
    newest = migrations("sqlite")[-1][0]
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            (name,) = connection.execute(
                "SELECT value FROM meta WHERE key = 'ledger_id'"
            ).fetchone() or ("unnamed",)
            (floor,) = connection.execute(
                "SELECT value FROM meta WHERE key = 'floor'"
            ).fetchone() or (None,)
        finally:
            connection.close()
    except sqlite3.Error as error:
        yield Finding(
            "fail",
            "ledger",
            f"{path} cannot be read: {error}",
            "see that it is a file of ours, whole and readable; or begin a new one, which has spent"
            " nothing",
            f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.broken')}",
        )
        return
    text = f"{path}, id {name[:8]}, schema {schema}"
    if not may_spend("sqlite", schema, floor):
        todo = f"this release knows schema {newest}"
        yield Finding("fail", "ledger", text, todo, "pip install -U prefect-governor")
        return
    yield Finding("ok", "ledger", text)
    yield from _access(path)


def _access(path: Path) -> Iterator[Finding]:
    """Whose it is, and who else may get at it. What others reach by its folder is said of that."""
    quoted = f"{shlex.quote(str(path))}*"
    if not owned(path):
        owner = path.stat().st_uid
        me = f"{os.geteuid()}:{os.getegid()}"
        yield Finding(
            "warn",
            "ledger",
            f"{path} is another user's (uid {owner}): whoever is that may change what was spent",
            None,
            f"sudo chown {me} {quoted}",
        )
    elif path.stat().st_mode & 0o077 and not path.parent.stat().st_mode & 0o077:
        mode = path.stat().st_mode & 0o777
        yield Finding(
            "warn",
            "ledger",
            f"{path} has mode {mode:04o}: others may open it where they get into its folder",
            None,
            f"chmod go= {quoted}",
        )


class Stores:
    """The ledgers that were opened, each once. `own`: whether that of governors which name none
    can be."""

    def __init__(self, stack: ExitStack, *, own: bool) -> None:
        self._stack = stack
        self._own = own
        self._known: dict[str | None, Store | None] = {}

    def at(self, url: str | None) -> Store | None:
        """A ledger; None where there is none yet, or where it is told of already that it cannot be
        read. Raises LedgerUnavailable."""
        if url not in self._known:
            store = open_store(url) if self._own or url is not None else None
            if store is not None:
                self._stack.enter_context(closing(store))
            self._known[url] = store
        return self._known[url]


@contextmanager
def opened(*, own: bool) -> Iterator[Stores]:
    """`Stores` that are closed at the end."""
    with ExitStack() as stack:
        yield Stores(stack, own=own)
