"""The ledger in one SQLite file: the default, for all processes of a machine."""

import fcntl
import json
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.admission import Gate, Purse
from prefect_governor.blocks.ledger.batch import current_label
from prefect_governor.blocks.ledger.clock import boot_id, machine_now
from prefect_governor.blocks.ledger.migration import migrate
from prefect_governor.blocks.ledger.records import Account, Reply, ReplyKey
from prefect_governor.blocks.ledger.sqlite_rows import SQLiteRows, to_gate
from prefect_governor.blocks.ledger.store import Instant, Spend

# How long a writer waits for its turn before the ledger counts as gone, in seconds.
_TURN_SECONDS = 30.0

_SPEND_COLUMNS = frozenset(
    [
        "flow",
        "deployment",
        "flow_run_id",
        "task",
        "task_run_id",
        "model",
        "user",
        "label",
        "run_id",
        "item",
    ]
)

# A call that drew on an account, in any window where the second value is empty.
_DRAWN = (
    "EXISTS (SELECT 1 FROM json_each(accounts) AS drawn"
    " WHERE json_extract(drawn.value, '$[0]') = ?"
    " AND ? IN ('', json_extract(drawn.value, '$[1]')))"
)


class SQLiteStore:
    """A ledger in a file. Created with its folder where it is missing.

    Args:
        path: the file. Its folder must not be on a network filesystem: WAL does not work there.
        now: the clock, injected by tests.

    Raises:
        LedgerUnavailable: it cannot be opened, or a newer release wrote it.
    """

    def __init__(self, path: Path, *, now: Callable[[], Instant] = machine_now) -> None:
        self.path = path
        self._now = now
        # One connection writes, one reads: what a thread of its own would open, nobody would close.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._turn: int | None = None
        self._seen_version: int | None = None
        self._closed = False
        try:
            with self._guard(), self._writing:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._create_private()
                with self._exclusive():
                    connection = self._writer = self._connect()
                    migrate(connection, "sqlite")
                    self._ledger_id = self._identify(connection)
        except BaseException:
            self.close()
            raise
        _stores.add(self)

    @property
    def ledger_id(self) -> str:
        return self._ledger_id

    @contextmanager
    def transaction(self) -> Iterator[SQLiteRows]:
        with self._guard(), self._writing, self._exclusive():
            connection = self._writer = self._writer or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                # What others wrote before now is seen by this transaction: no reason to wake.
                self._seen_version = _data_version(connection)
                yield SQLiteRows(connection, self._now())
                connection.execute("COMMIT")
            except BaseException:
                self._abort(connection)
                raise

    def changed(self) -> bool:
        with self._guard(), self._writing:
            connection = self._writer = self._writer or self._connect()
            before, self._seen_version = self._seen_version, _data_version(connection)
            return before != self._seen_version

    def read_reply(self, key: ReplyKey) -> Reply | None:
        row = self._one(
            "SELECT body, content_type FROM replies"
            " WHERE run_id = ? AND item = ? AND call_index = ? AND request_hash = ?",
            (key.run_id, key.item, key.call_index, key.request_hash),
        )
        return None if row is None else Reply(key, row["body"], row["content_type"])

    def read_items(self, run_id: str) -> dict[tuple[str, str], str]:
        rows = self._all("SELECT key, input_hash, record FROM items WHERE run_id = ?", (run_id,))
        return {(row["key"], row["input_hash"]): row["record"] for row in rows}

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        with self._read() as connection:
            rows = SQLiteRows(connection, self._now())
            known = rows.account(account)
            return (
                None
                if known is None
                else (known[0], rows.purse(known[0], label or current_label(*known, rows.now)))
            )

    def read_gate(self, key: str) -> Gate | None:
        with self._read() as connection:
            return to_gate(connection, key, self._now())

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
        table, name = "reservations", f'"{column}"'
        names = [column, *where]
        if column == "tag":
            table, name = "reservations LEFT JOIN json_each(tags) AS tag", "tag.value"
            names = [*where]
        if unknown := [name for name in names if name not in _SPEND_COLUMNS]:
            raise ValueError(f"not an attribution column: {unknown}")
        chosen = None if keys is None else list(keys)
        conditions = [f'"{name}" = ?' for name in where]
        values = [*where.values()]
        if chosen is not None:
            conditions.append(f"{name} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(chosen))
        if account is not None:
            conditions.append(_DRAWN)
            values += [account, label or ""]
        if since_wall is not None:
            conditions.append("created_wall >= CAST(? AS INTEGER)")
            values.append(str(since_wall))
        rows = self._all(
            f"SELECT {name} AS name, COUNT(*) AS calls,"
            " COALESCE(SUM(spent_nano), 0) AS spent,"
            " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'unconfirmed'), 0) AS unconfirmed,"
            " COALESCE(SUM(bound_nano) FILTER (WHERE state = 'reserved'), 0) AS reserved,"
            " COALESCE(SUM(input_tokens), 0) AS input,"
            " COALESCE(SUM(output_tokens), 0) AS output"
            f" FROM {table} WHERE state <> 'released'"
            + "".join(f" AND {condition}" for condition in conditions)
            + f" GROUP BY {name}",
            tuple(values),
        )
        return {
            row["name"]: Spend(
                row["calls"],
                row["spent"],
                row["unconfirmed"],
                row["reserved"],
                row["input"],
                row["output"],
            )
            for row in rows
        }

    def close(self) -> None:
        """Close the connections. Whatever is asked afterwards raises LedgerUnavailable."""
        with self._writing, self._reading:
            self._closed = True
            self._disconnect()
            self._drop_turn()

    # Forks. SQLite believes in a child that the parent's file locks are the child's own; such a
    # child loses its writes when the parent closes. So no connection is open while a fork happens.

    def before_fork(self) -> None:
        """Wait until nothing is under way and close the connections; they open again when used."""
        self._writing.acquire()
        self._reading.acquire()
        self._disconnect()

    def after_fork(self, *, in_child: bool) -> None:
        """Go on. A child takes turns as itself: its parent's place in the line is not its own."""
        if in_child:
            self._drop_turn()
        self._reading.release()
        self._writing.release()

    def _disconnect(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        self._writer = self._reader = self._seen_version = None

    def _drop_turn(self) -> None:
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    def _create_private(self) -> None:
        """Make the file for its user alone: it keeps replies. Only where it is missing, as closing
        it again would drop the locks of whoever has it open here."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("it was closed")
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=_TURN_SECONDS, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _abort(self, connection: sqlite3.Connection) -> None:
        """Roll back; where even that fails, the next transaction starts on a new connection."""
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return
        self._writer = None
        with suppress(sqlite3.Error):
            connection.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._guard(), self._reading:
            self._reader = self._reader or self._connect()
            yield self._reader

    def _identify(self, connection: sqlite3.Connection) -> str:
        """The ledger's id; after a reboot, what was counted on the last boot's clock is dropped,
        and leases admit nobody: their keeper gives them back."""
        connection.execute("BEGIN IMMEDIATE")
        put = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
        connection.execute(put, ("ledger_id", uuid.uuid4().hex))
        connection.execute(put, ("boot_id", boot_id()))
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        if meta["boot_id"] != boot_id():
            connection.execute("UPDATE limits SET hold_until = 0, meters = '[]'")
            connection.execute("UPDATE leases SET usable_until = 0")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'boot_id'", (boot_id(),))
        connection.execute("COMMIT")
        ledger_id: str = meta["ledger_id"]
        return ledger_id

    def _one(self, sql: str, values: tuple[object, ...]) -> "sqlite3.Row | None":
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: tuple[object, ...]) -> list[sqlite3.Row]:
        with self._read() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """This process's turn to write."""
        # Writers take turns on this lock: SQLite's own waiting polls and can starve one.
        if self._turn is None:
            if self._closed:
                raise sqlite3.ProgrammingError("it was closed")
            self._turn = os.open(self.path.with_suffix(".turn"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"the ledger {self.path} cannot be used: {error}; no call is let through until it"
            " can. Check that its folder is there, writable, on a local disk and not full"
        )


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


_stores: "weakref.WeakSet[SQLiteStore]" = weakref.WeakSet()
_forking: list[SQLiteStore] = []
_fork = threading.Lock()


def _before_fork() -> None:
    _fork.acquire()
    for store in list(_stores):
        store.before_fork()
        _forking.append(store)


def _after_fork(*, in_child: bool) -> None:
    while _forking:
        _forking.pop().after_fork(in_child=in_child)
    _fork.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(in_child=False),
    after_in_child=lambda: _after_fork(in_child=True),
)
