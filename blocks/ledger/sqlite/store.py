"""The ledger in one SQLite file: the default, for all processes of a machine."""

import errno
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect_governor.blocks.errors import LedgerFull, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.store import ASKED_BACK
from prefect_governor.blocks.ledger.migration import migrate
from prefect_governor.blocks.ledger.moved import MOVED, told
from prefect_governor.blocks.ledger.sqlite.ended import give_back
from prefect_governor.blocks.ledger.sqlite.memory import Memory
from prefect_governor.blocks.ledger.sqlite.reads import Reads
from prefect_governor.blocks.ledger.sqlite.rows import SQLiteRows
from prefect_governor.blocks.ledger.sqlite.turn import Turn
from prefect_governor.blocks.machine.clock import Instant, boot_id, machine_now
from prefect_governor.blocks.machine.filesystem import Place, refuse_network
from prefect_governor.blocks.machine.private import FILE, make_folder, mend

# How long a writer waits for its turn before the ledger counts as gone, in seconds.
TURN_SECONDS = 30.0
# How long the file of what was committed lately grows before it is worked into the other, in pages
# of 4 KiB. That holds up the one who does it, and all behind, by about as long however much it is.
CHECKPOINT_PAGES = 4000
# What one value is at fault for: nothing is wrong with the file.
_OF_A_VALUE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class SQLiteStore(Reads):
    """A ledger in a file. Created with its folder where it is missing.

    Args:
        path: the file. Its folder must not be on a network filesystem: WAL does not work there.
        now: the clock, injected by tests.
        turn_timeout_seconds: how long a writer waits for its turn before the ledger counts as gone.

    Raises:
        LedgerUnavailable: it cannot be opened, or a newer release wrote it.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], Instant] = machine_now,
        turn_timeout_seconds: float = TURN_SECONDS,
    ) -> None:
        self.path = path
        self._now = now
        # One connection writes, one reads: what a thread of its own would open, nobody would close.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._turn = Turn(path.with_suffix(".turn"), timeout_seconds=turn_timeout_seconds)
        self._seen_version: int | None = None
        self._memory = Memory()
        self._closed = False
        try:
            with self._guard(), self._writing:
                make_folder(path.parent)
                refuse_network(path)
                self._create_private()
                self._place = Place(path)
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
                self._memory.begins(self._seen_version)
                yield self._rows(connection, self._now(), self._memory)
                connection.execute("COMMIT")
            except BaseException:
                self._abort(connection)
                raise

    def changed(self) -> bool:
        with self._guard(), self._writing:
            connection = self._writer = self._writer or self._connect()
            before, self._seen_version = self._seen_version, _data_version(connection)
            return before != self._seen_version

    def give_back_space(self, most_bytes: int) -> int:
        with self._guard(), self._writing, self._exclusive():
            connection = self._writer = self._writer or self._connect()
            return give_back(connection, most_bytes)

    def close(self) -> None:
        """Close the connections. Whatever is asked afterwards raises LedgerUnavailable."""
        with self._writing, self._reading:
            self._closed = True
            self._disconnect()
            self._turn.close()

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
            self._turn.close()
        self._reading.release()
        self._writing.release()

    def _disconnect(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        self._writer = self._reader = self._seen_version = None
        # Another connection counts the file's versions anew.
        self._memory.forget_all()

    def _create_private(self) -> None:
        """Make the file for its user alone: it keeps replies. Only where it is missing, as closing
        it again would drop the locks of whoever has it open here; one that is there is shut to
        others. What SQLite makes beside it has its mode."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE))
        for end in ("", "-wal", "-shm"):
            mend(self.path.with_name(f"{self.path.name}{end}"))

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.OperationalError("it was closed")
        self._place.check()
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=TURN_SECONDS, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                # A new file: what is freed in it can be handed back to the disk, step by step.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _abort(self, connection: sqlite3.Connection) -> None:
        """Roll back; where even that fails, the next transaction starts on a new connection."""
        self._memory.forget_all()
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
            connection.execute("UPDATE limits SET adaptive = '{}' WHERE adaptive IS NOT NULL")
            connection.execute(
                "UPDATE leases SET usable_until = 0 WHERE usable_until <> ?", (ASKED_BACK,)
            )
            connection.execute("UPDATE owners SET renewed = 0")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'boot_id'", (boot_id(),))
        connection.execute("COMMIT")
        if MOVED in meta:
            raise LedgerUnavailable(told(str(self.path), meta[MOVED]))
        ledger_id: str = meta["ledger_id"]
        return ledger_id

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """This process's turn to write."""
        if self._closed:
            raise sqlite3.OperationalError("it was closed")
        self._turn.take()
        try:
            self._place.check()
            yield
        finally:
            self._turn.give()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except _OF_A_VALUE:
            raise
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        if _is_full(error):
            return LedgerFull(
                f"the ledger {self.path} cannot be written ({error}), so no call is let through:"
                f" make room in {self.path.parent}"
            )
        return LedgerUnavailable(
            f"the ledger {self.path} cannot be used: {error}; no call is let through until it"
            " can. Check that its folder is there, writable, on a local disk and not full"
        )


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Python 3.10 has no codes.
    return getattr(error, "sqlite_errorcode", None) == 13 or "disk is full" in str(error)


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
