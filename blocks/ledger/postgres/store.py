"""The ledger in a PostgreSQL database: one for all machines.

Every transaction takes one advisory lock, of its ledger alone, before it reads anything; waiters
get it in the order in which they came. See docs/decisions/ledger/0014-a-ledger-on-postgresql.md.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.migration import migrate_postgres
from prefect_governor.blocks.ledger.moved import MOVED, told
from prefect_governor.blocks.ledger.postgres.cache import Cache, Hot, Row
from prefect_governor.blocks.ledger.postgres.fork import tell_of_forks
from prefect_governor.blocks.ledger.postgres.link import abandon, driver, one, parse
from prefect_governor.blocks.ledger.postgres.pulse import LISTEN_SECONDS, MOVE, Beat, Ear, Estimate
from prefect_governor.blocks.ledger.postgres.reads import Reads
from prefect_governor.blocks.ledger.postgres.rows import PostgresRows
from prefect_governor.blocks.machine.clock import Instant

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

T = TypeVar("T")

# How often the ledger's version is asked for where no word of a change came, in seconds.
POLL_SECONDS = 0.5
# A process that waits says again that it does before what it said last runs out.
_LISTEN_AGAIN_SECONDS = LISTEN_SECONDS * 2 / 3


@dataclass
class _Begun:
    """A transaction under way."""

    connection: "Connection[Any]"
    pipeline: ExitStack
    beat: Beat
    rows: PostgresRows


class PostgresStore(Reads):
    """A ledger in a schema of a database. Made where it is missing.

    Args:
        url: `postgresql://user:password@host:port/database`, a secret; `?schema=` names the
            ledger's schema, `prefect_governor` by default. Straight to the server, or through a
            pooler in session mode: locks and notifications belong to sessions.
        now: the clock, injected by tests; the server's by default.
        poll_seconds: how often `changed` asks the server where no word of a change came.

    Raises:
        ConfigurationError: the URL cannot be read, or psycopg is not installed.
        LedgerUnavailable: the server cannot be used, or a newer release wrote the ledger.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], Instant] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._link = parse(url)
        self._driver = driver()
        self._injected = now
        self._estimate = Estimate()
        self._poll_seconds = poll_seconds
        # One connection writes, one reads: what a thread of its own would open, nobody would close.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer: Connection[Any] | None = None
        self._reader: Connection[Any] | None = None
        self._hot = Hot()
        self._ear: Ear | None = None
        self._listen_at = self._poll_at = 0.0
        self._seen = 0
        self._closed = False
        with self._guard(), self._writing:
            try:
                self._ledger_id = self._open_ledger()
            except BaseException:
                self._drop_writer()
                raise
        tell_of_forks(self)

    def __repr__(self) -> str:
        return f"PostgresStore({self._link!r})"

    @property
    def ledger_id(self) -> str:
        return self._ledger_id

    def now(self) -> Instant:
        """The ledger's clock, at any time: by this machine's own since the last transaction here.

        Give it to the desk: what a call waits since is compared with the ledger's clock, and with
        that of calls on other machines.
        """
        return self._estimate() if self._injected is None else self._injected()

    @contextmanager
    def transaction(self) -> Iterator[PostgresRows]:
        with self._guard(), self._writing:
            begun = self._begin()
            try:
                # What others wrote before now is seen by this transaction: no reason to wake.
                self._seen = begun.beat.version
                yield begun.rows
                self._commit(begun)
            except BaseException:
                self._undo(begun.connection, begun.pipeline)
                raise

    def changed(self) -> bool:
        with self._guard(), self._writing:
            try:
                newest = self._newest()
            except self._driver.Error:
                self._drop_writer()
                raise
            before, self._seen = self._seen, max(self._seen, newest)
            return newest > before

    def close(self) -> None:
        """Close the connections. Whatever is asked afterwards raises LedgerUnavailable."""
        with self._writing, self._reading:
            self._closed = True
            self._drop_writer()
            self._drop_reader()

    def before_fork(self) -> None:
        """See `postgres_fork.Forked`."""
        self._writing.acquire()
        self._reading.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        """A child opens connections of its own when it uses the ledger."""
        if in_child:
            for connection in (self._writer, self._reader):
                if connection is not None:
                    abandon(connection)
            self._writer = self._reader = self._ear = None
        self._reading.release()
        self._writing.release()

    # Transactions

    def _begin(self) -> _Begun:
        """A transaction with its lock and what it is likely to need, in one round trip."""
        old = self._writer
        if old is not None:
            try:
                return self._begin_on(old)
            except self._driver.Error:
                if not old.closed:
                    raise
                # The session ended while nothing was under way: nothing is lost by another.
                self._drop_writer()
        return self._begin_on(self._connected_writer())

    def _begin_on(self, connection: "Connection[Any]") -> _Begun:
        pipeline = ExitStack()
        try:
            sending = pipeline.enter_context(connection.pipeline())

            def ask(sql: str, values: Sequence[Any]) -> list[Row]:
                cursor = connection.execute(sql, values)
                # Not a mere flush: only after this does the server see the session as idle, and
                # end it when this process stands still.
                sending.sync()
                return cursor.fetchall()

            connection.execute("BEGIN")
            self._lock(connection)
            cache = Cache(ask, self._hot)
            (answer,) = ask(*Beat.question(cache))
        except BaseException:
            self._undo(connection, pipeline)
            raise
        beat = Beat.of(answer)
        cache.take_in(answer)
        self._estimate.correct(beat.now)
        now = beat.now if self._injected is None else self._injected()
        return _Begun(connection, pipeline, beat, PostgresRows(connection, now, cache))

    def _commit(self, begun: _Begun) -> None:
        begun.rows.finish(MOVE, begun.beat.next(self._link.schema))
        ended = begun.connection.execute("COMMIT")
        # Here the answers of all that was written arrive, or the first error among them.
        begun.pipeline.close()
        if ended.statusmessage != "COMMIT":
            raise LedgerUnavailable(f"the ledger's transaction was undone: {ended.statusmessage}")
        if begun.rows.wrote:
            self._seen = begun.beat.version + 1

    def _undo(self, connection: "Connection[Any]", pipeline: ExitStack) -> None:
        """Roll back; where even that fails, the next transaction starts on a new connection."""
        try:
            with suppress(self._driver.Error):
                pipeline.close()
            if connection.info.transaction_status != self._driver.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except self._driver.Error:
            self._drop_writer()
        except BaseException:
            # Cut short: nobody knows what is under way on it.
            self._drop_writer()
            raise

    def _lock(self, connection: "Connection[Any]") -> "Cursor[Any]":
        return connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._link.lock,))

    # Waking

    def _newest(self) -> int:
        """The newest version that was told, or asked for where it is time to."""
        connection, moment = self._connected_writer(), time.monotonic()
        if self._ear is None or moment >= self._listen_at:
            self._listen_at = moment + _LISTEN_AGAIN_SECONDS
            self._poll_at = moment + self._poll_seconds
            return self._listen(connection)
        newest = self._ear.look()
        if newest <= self._seen and moment >= self._poll_at:
            self._poll_at = moment + self._poll_seconds
            newest = one(connection.execute("SELECT version FROM clock"))["version"]
        return newest

    def _listen(self, connection: "Connection[Any]") -> int:
        """Ask to be told. Under the lock: whoever writes next sees it, and what was written before
        is in the version that comes back."""
        if self._ear is None:
            self._ear = Ear(connection, self._link.schema)
            self._ear.listen()
        with connection.transaction():
            self._lock(connection)
            connection.execute(
                "UPDATE listeners SET until = greatest(until, clock_timestamp() + %s::interval)",
                (f"{LISTEN_SECONDS} seconds",),
            )
            return Beat.of(one(connection.execute(*Beat.question()))).version

    # Connections

    def _open_ledger(self) -> str:
        """Make or migrate the ledger; returns its id."""
        connection = self._connected_writer()
        with connection.transaction():
            self._lock(connection)
            migrate_postgres(connection, self._link.schema)
            moved = one(
                connection.execute("SELECT (SELECT value FROM meta WHERE key = %s)", (MOVED,))
            )
            if (text := moved["value"]) is not None:
                raise LedgerUnavailable(told(f"on {self._link.place}", text))
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('ledger_id', %s) ON CONFLICT DO NOTHING",
                (uuid.uuid4().hex,),
            )
            row = one(connection.execute("SELECT value FROM meta WHERE key = 'ledger_id'"))
            beat = Beat.of(one(connection.execute(*Beat.question())))
        self._estimate.correct(beat.now)
        self._seen = beat.version
        ledger_id: str = row["value"]
        return ledger_id

    def _connected_writer(self) -> "Connection[Any]":
        if self._writer is None or self._writer.closed:
            self._drop_writer()
            self._writer = self._connect(by_key=True)
        return self._writer

    def _read(self, work: "Callable[[Connection[Any]], T]") -> T:
        """Do what only reads; once more on a new connection where the old one had ended."""
        with self._guard(), self._reading:
            old = self._reader
            if old is not None:
                try:
                    return work(old)
                except self._driver.Error:
                    if not old.closed:
                        raise
                    self._drop_reader()
            self._reader = self._connect()
            return work(self._reader)

    def _connect(self, *, by_key: bool = False) -> "Connection[Any]":
        if self._closed:
            raise LedgerUnavailable(f"the ledger on {self._link.place} was closed here")
        return self._link.connect(by_key=by_key)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._ear = None

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.Error, OSError) as error:
            if self._of_a_value(error):
                raise
            raise self._link.unavailable(error) from None

    def _of_a_value(self, error: Exception) -> bool:
        """Whether one value is at fault, and nothing is wrong with the server."""
        if isinstance(error, self._driver.DataError | self._driver.IntegrityError):
            return True
        # Of no type that the driver knows, or not of the column's.
        kinds = (None, "42804", "42846")
        return isinstance(error, self._driver.ProgrammingError) and error.sqlstate in kinds
