"""All of a PostgreSQL ledger at once, with nobody at work in it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

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
from prefect_governor.blocks.ledger.migration import migrate_postgres
from prefect_governor.blocks.ledger.moved import MOVED, Mark
from prefect_governor.blocks.ledger.postgres.link import driver, parse
from prefect_governor.blocks.ledger.postgres.owner import HELD
from prefect_governor.blocks.ledger.postgres.store import PostgresStore

if TYPE_CHECKING:
    from psycopg import Connection

# What an admission writes, and what a budget is set aside with.
_GUARDED = {"reservations": "INSERT", "purses": "INSERT OR UPDATE"}
_FILLED = ("accounts", "reservations", "sums", "items", "replies")
# Rows that come in one answer, of a table that is read whole.
_FETCHED = 5000


class PostgresWhole:
    """See `whole.Whole`. `url` is the ledger's, a secret."""

    def __init__(self, url: str) -> None:
        self._url, self._link, self._driver = url, parse(url), driver()
        self._session: Connection[Any] | None = None

    @property
    def place(self) -> str:
        return f"{self._link.place}, schema {self._link.schema}"

    def ledger_id(self) -> str | None:
        if not self._value("SELECT to_regclass(%s) IS NOT NULL", f"{self._link.schema}.sums"):
            if not self._value("SELECT to_regclass(%s) IS NOT NULL", f"{self._link.schema}.meta"):
                return None
            # Of an older release.
            PostgresStore(self._url).close()
        filled = " OR ".join(f"EXISTS (SELECT 1 FROM {table})" for table in _FILLED)
        if not self._value(f"SELECT {filled}"):
            return None
        return str(self._value("SELECT value FROM meta WHERE key = 'ledger_id'"))

    def mark(self) -> Mark | None:
        if not self._value("SELECT to_regclass(%s) IS NOT NULL", f"{self._link.schema}.meta"):
            return None
        text = self._value("SELECT (SELECT value FROM meta WHERE key = %s)", MOVED)
        return None if text is None else Mark.of_text(text)

    @contextmanager
    def held(self) -> Iterator[None]:
        key = self._link.owner_lock("move")
        if not self._value("SELECT pg_try_advisory_lock(%s)", key):
            raise under_way(self.place)
        try:
            yield
        finally:
            # A session that broke holds nothing any more.
            with suppress(LedgerUnavailable):
                self._value("SELECT pg_advisory_unlock(%s)", key)

    def processes(self) -> list[Process]:
        found = self._connected().execute("SELECT owner, pid FROM owners ORDER BY owner").fetchall()
        alive = []
        for row in found:
            key = self._link.owner_lock(row["owner"]) % 2**64
            if self._connected().execute(HELD, (key >> 32, key % 2**32)).fetchone() is not None:
                alive.append(Process(row["owner"], row["pid"]))
        return alive

    def leave(self, mark: Mark) -> None:
        refuse_processes(self.place, self.processes())
        with closing(PostgresStore(self._url)) as store, store.transaction() as rows:
            # Whoever has come since is refused by the triggers.
            refuse_processes(self.place, self.processes())
            batch = Batch(rows, "move")
            for each in rows.owners():
                batch.expire(each.owner, "its process died")
            batch.write()
            rows.flush()
            _put_mark(rows._db, mark)

    def finish(self, mark: Mark | None) -> None:
        connection = self._connected()
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._link.lock,))
            _put_mark(connection, mark)

    def figures(self) -> Figures:
        connection = self._connected()
        with connection.transaction(force_rollback=True):
            _restart(connection)
            return _figures(connection)

    def rows(self, table: Table) -> Iterator[Values]:
        names = ", ".join(f'"{each}"' for each in table.columns)
        order = "ORDER BY seq" if table.name == "reservations" else ""
        connection = self._connected()
        with (
            connection.transaction(),
            connection.cursor(
                f"all_{table.name}", row_factory=self._driver.rows.tuple_row
            ) as cursor,
        ):
            cursor.itersize = _FETCHED
            cursor.execute(f"SELECT {names} FROM {table.name} {order}")
            yield from table.to_file(cursor)

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
            raise ConfigurationError(
                f"there is a ledger on {self.place} already: name another schema (?schema=…)"
            )
        connection = self._connected()
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._link.lock,))
                migrate_postgres(connection, self._link.schema)
                for table in TABLES:
                    # What a mere look has left there: limits, notices, marks.
                    connection.execute(f"DELETE FROM {table.name}")
                _put_mark(connection, None)
                connection.execute("DELETE FROM meta WHERE key = 'ledger_id'")
                connection.execute(
                    "INSERT INTO meta (key, value) VALUES ('ledger_id', %s)", (ledger_id,)
                )
                for table in TABLES:
                    self._copy(connection, table, counted(rows(table), table, tell))
                _restart(connection)
                if wrong := differing(figures, _figures(connection)):
                    raise LedgerUnavailable(f"not moved: {', '.join(wrong)} came to other figures")
        except self._driver.Error as error:
            raise self._link.unavailable(error) from None
        connection.execute("ANALYZE")

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _copy(self, connection: "Connection[Any]", table: Table, rows: Iterator[Values]) -> None:
        names = ", ".join(f'"{each}"' for each in table.columns)
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
                for row in table.to_server(rows):
                    copy.write_row(row)
            if "id" in table.columns:
                # The next one is after those that came.
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'),"
                    f" (SELECT MAX(id) FROM {table.name}))"
                )

    def _connected(self) -> "Connection[Any]":
        if self._session is None:
            self._session = self._link.connect()
            # All of a ledger takes longer than any one answer may elsewhere.
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                self._session.execute(f"SET {name} = 0")
        return self._session

    def _value(self, sql: str, *values: object) -> Any:
        try:
            (row,) = self._connected().execute(sql, values).fetchall()
        except self._driver.Error as error:
            raise self._link.unavailable(error) from None
        return next(iter(row.values()))


def _put_mark(connection: "Connection[Any]", mark: Mark | None) -> None:
    for table in _GUARDED:
        connection.execute(f"DROP TRIGGER IF EXISTS {MOVED} ON {table}")
    connection.execute(f"DROP FUNCTION IF EXISTS {MOVED}()")
    connection.execute("DELETE FROM meta WHERE key = %s", (MOVED,))
    if mark is None:
        return
    connection.execute("INSERT INTO meta (key, value) VALUES (%s, %s)", (MOVED, mark.to_text()))
    said = mark.refusal.replace("'", "''")
    connection.execute(
        f"CREATE FUNCTION {MOVED}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $moved$ BEGIN RAISE EXCEPTION USING MESSAGE = '{said}'; END $moved$"
    )
    for table, what in _GUARDED.items():
        connection.execute(
            f"CREATE TRIGGER {MOVED} BEFORE {what} ON {table} EXECUTE FUNCTION {MOVED}()"
        )


def _restart(connection: "Connection[Any]") -> None:
    for each in RESTARTED:
        connection.execute(each.encode())


def _figures(connection: "Connection[Any]") -> Figures:
    found = {}
    # By their places: all of these sums have one name.
    with connection.cursor(row_factory=driver().rows.tuple_row) as cursor:
        for table in TABLES:
            (row,) = cursor.execute(figures_sql(table, integer="text").encode()).fetchall()
            found[table.name] = tuple(int(each) for each in row)
    return found
