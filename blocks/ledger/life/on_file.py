"""All of a SQLite ledger at once, with nobody at work in it."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.life.tables import (
    RESTARTED,
    TABLES,
    Table,
    Values,
    figures_sql,
)
from prefect_governor.blocks.ledger.life.whole import (
    Figures,
    Process,
    Tell,
    counted,
    differing,
    refuse_processes,
    under_way,
)
from prefect_governor.blocks.ledger.migration import migrate
from prefect_governor.blocks.ledger.moved import MOVED, Mark
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.filesystem import refuse_network
from prefect_governor.blocks.machine.private import FILE, make_folder

# What an admission writes, and what a budget is set aside with.
_GUARDED = ("INSERT ON reservations", "INSERT ON purses", "UPDATE ON purses")
_FILLED = ("accounts", "reservations", "sums", "items", "replies")


class SQLiteWhole:
    """See `whole.Whole`. `path` is the ledger's file; the folder `owners` is beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        return str(self.path)

    def ledger_id(self) -> str | None:
        if not self.path.exists():
            return None
        with closing(self._connect()) as connection:
            try:
                found = any(
                    connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                    for table in _FILLED
                )
                row = connection.execute("SELECT value FROM meta WHERE key = 'ledger_id'")
                return str(row.fetchone()[0]) if found else None
            except sqlite3.OperationalError:
                # Of an older schema, or none: opened once, it is of this one.
                SQLiteStore(self.path).close()
                return self.ledger_id()
            except sqlite3.DatabaseError as error:
                raise self._unavailable(error) from None

    def mark(self) -> Mark | None:
        if not self.path.exists():
            return None
        with closing(self._connect()) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (MOVED,)).fetchone()
        return None if row is None else Mark.of_text(row[0])

    @contextmanager
    def held(self) -> Iterator[None]:
        if not self.path.parent.exists():
            yield
            return
        # A file of its own: to close the ledger's would take SQLite's locks from this process.
        with open(self.path.with_name(f"{self.path.name}.moving.lock"), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise under_way(self.place) from None
            yield

    def processes(self) -> list[Process]:
        pids: dict[str, int] = {}
        # Of a damaged one: its processes hold their locks all the same.
        with suppress(sqlite3.DatabaseError), closing(self._connect()) as connection:
            pids = dict(connection.execute("SELECT owner, pid FROM owners").fetchall())
        folder = self.path.parent / "owners"
        alive = [each.stem for each in sorted(folder.glob("*.lock")) if _held(each)]
        return [Process(owner, pids.get(owner)) for owner in alive]

    def leave(self, mark: Mark) -> None:
        refuse_processes(self.place, self.processes())
        with closing(SQLiteStore(self.path)) as store, store.transaction() as rows:
            # Whoever has come since is refused by the triggers.
            refuse_processes(self.place, self.processes())
            batch = Batch(rows, "move")
            for each in rows.owners():
                batch.expire(each.owner, "its process died")
            batch.write()
            _put_mark(rows._db, mark)

    def finish(self, mark: Mark | None) -> None:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            _put_mark(connection, mark)
            connection.execute("COMMIT")

    def figures(self) -> Figures:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            # Only to be looked at: never committed.
            _restart(connection)
            found = _figures(connection)
            connection.execute("ROLLBACK")
        return found

    def rows(self, table: Table) -> Iterator[Values]:
        names = ", ".join(f'"{each}"' for each in table.columns)
        with closing(self._connect()) as connection:
            order = "ORDER BY rowid" if table.name == "reservations" else ""
            yield from connection.execute(f"SELECT {names} FROM {table.name} {order}")

    def take_in(
        self,
        ledger_id: str,
        rows: Callable[[Table], Iterable[Values]],
        figures: Figures,
        tell: Tell,
        *,
        replaced: str | None = None,
    ) -> None:
        if self.ledger_id() not in (None, replaced):
            raise ConfigurationError(f"there is a ledger at {self.place} already: choose another")
        make_folder(self.path.parent)
        refuse_network(self.path)
        # Beside it, and in its place once it is whole.
        new = self.path.with_name(f"{self.path.name}.moving")
        for end in ("", "-wal", "-shm", "-journal"):
            new.with_name(f"{new.name}{end}").unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE))
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection, "sqlite")
            connection.execute("BEGIN")
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('ledger_id', ?)", (ledger_id,)
            )
            for table in TABLES:
                names = ", ".join(f'"{each}"' for each in table.columns)
                marks = ", ".join("?" * len(table.columns))
                connection.executemany(
                    f"INSERT INTO {table.name} ({names}) VALUES ({marks})",
                    counted(rows(table), table, tell),
                )
            _restart(connection)
            if wrong := differing(figures, _figures(connection)):
                raise LedgerUnavailable(f"not moved: {', '.join(wrong)} came to other figures")
            connection.execute("COMMIT")
        with open(new, "rb") as file:
            os.fsync(file.fileno())
        for end in ("-wal", "-shm"):
            self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)
        os.replace(new, self.path)

    def close(self) -> None:
        """Nothing stays open."""

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self.path, isolation_level=None, timeout=30)
        except sqlite3.Error as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        return LedgerUnavailable(f"the ledger {self.path} cannot be used: {error}")


def _put_mark(connection: sqlite3.Connection, mark: Mark | None) -> None:
    for number in range(len(_GUARDED)):
        connection.execute(f"DROP TRIGGER IF EXISTS {MOVED}_{number}")
    connection.execute("DELETE FROM meta WHERE key = ?", (MOVED,))
    if mark is None:
        return
    connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (MOVED, mark.to_text()))
    said = mark.refusal.replace("'", "''")
    for number, each in enumerate(_GUARDED):
        connection.execute(
            f"CREATE TRIGGER {MOVED}_{number} BEFORE {each}"
            f" BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )


def _restart(connection: sqlite3.Connection) -> None:
    for each in RESTARTED:
        connection.execute(each)


def _figures(connection: sqlite3.Connection) -> Figures:
    return {
        table.name: tuple(connection.execute(figures_sql(table, integer="INTEGER")).fetchone())
        for table in TABLES
    }


def _held(lock: Path) -> bool:
    """Whether a process holds an owner's lock."""
    with suppress(FileNotFoundError), open(lock, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
