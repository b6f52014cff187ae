"""How a ledger's PostgreSQL server is reached: the URL, a connection, and what its errors say.

The URL is a secret. Nothing here puts it, the user or the password into a text: what people see
is the host, the database and the schema.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

DEFAULT_SCHEMA = "prefect_governor"
# The first release whose sessions can watch a client that is gone while they wait for a lock.
OLDEST_SERVER = 14

CONNECT_SECONDS = 5
# How long a writer waits for its turn, or for any answer, before the ledger counts as gone.
TURN_SECONDS = 30
# A process that stands still in the midst of a transaction holds up everybody; the server ends its
# session, which rolls back, after so long.
STANDSTILL_SECONDS = 10

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Both ends find out within 11 s that the other is gone without a word.
_KEEPALIVE: Mapping[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}
_SETTINGS: Mapping[str, str] = {
    "statement_timeout": f"{TURN_SECONDS}s",
    "lock_timeout": f"{TURN_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{STANDSTILL_SECONDS}s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11000",
    "client_connection_check_interval": "5s",
}
# A writer looks rows up by their keys and never scans. Its plans are made once a session, before
# the server knows how large a table will be, so it is told.
_BY_KEY: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)

_FIXES = {
    "25006": "the server takes no writes: point the URL at the primary",
    "53100": "the server's disk is full: make room there",
    "53300": "the server has no connection left: raise its max_connections",
    "55P03": "another session has held the ledger's lock for long: end it (see pg_stat_activity)",
    "57014": "the server did not answer in time: see what keeps it busy (pg_stat_activity)",
    "25P03": "this process stood still in the midst of a transaction, which was undone",
    "42501": "grant the URL's user CREATE on the database, or make the schema for it",
}
# What the server says before there is a session has no code.
_FIXES_AT_CONNECT = {
    "password authentication failed": "check the URL's user and password",
    "no pg_hba.conf entry": "let the URL's user in from here: pg_hba.conf on the server",
    "does not exist": "make the database, or correct its name in the URL",
    "too many clients": _FIXES["53300"],
    "remaining connection slots": _FIXES["53300"],
}
_ESCAPES = "with signs such as @ / : % # ? in the password written as %40 %2F %3A %25 %23 %3F"
_GENERAL = "check that the server is up, can be reached from here and has room on its disk"


def driver() -> ModuleType:
    """psycopg. Raises ConfigurationError, with the fix, where it is not installed."""
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "a ledger on PostgreSQL needs psycopg, which is not installed; run"
            " `pip install 'prefect-governor[postgres]'`"
        ) from None
    return psycopg


@dataclass(frozen=True)
class Link:
    """Where a ledger is. Its repr shows no secret.

    Attributes:
        url: what libpq is given, without our own options.
        schema: the ledger's schema; several ledgers can stand in one database.
        place: the host and the database, for people.
    """

    url: str = field(repr=False)
    schema: str
    place: str
    secrets: tuple[str, ...] = field(repr=False, default=())

    @property
    def lock(self) -> int:
        """The key of the one lock that writers of this ledger take."""
        return _key(f"prefect-governor ledger {self.schema}")

    def owner_lock(self, owner: str) -> int:
        """The key of the lock that an owner's session holds."""
        return _key(f"prefect-governor owner {self.schema} {owner}")

    def connect(self, *, by_key: bool = False) -> "Connection[Any]":
        """A connection in autocommit with the ledger's timeouts, durable commits and schema.

        `by_key`: for a writer, whose statements all look rows up by their keys.

        Raises LedgerUnavailable.
        """
        psycopg = driver()
        connection: Connection[Any] | None = None
        try:
            connection = psycopg.connect(
                self.url,
                autocommit=True,
                prepare_threshold=1,
                row_factory=psycopg.rows.dict_row,
                application_name="prefect-governor",
                **self._options(),
            )
            server = connection.info.server_version // 10_000
            if server < OLDEST_SERVER:
                raise LedgerUnavailable(
                    f"{self.place} is PostgreSQL {server}; a ledger needs {OLDEST_SERVER} or later"
                )
            wanted = {"search_path": f'"{self.schema}"', **_SETTINGS}
            wanted.update(_BY_KEY if by_key else {})
            connection.execute(
                "SELECT set_config(name, value, false)"
                " FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)",
                (list(wanted), list(wanted.values())),
            )
            connection.execute(_DURABLE)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, psycopg.Error):
                raise self.unavailable(error) from None
            raise
        return connection

    def unavailable(self, error: Exception) -> LedgerUnavailable:
        """What people are told when the ledger cannot be used: why, and what to do.

        Raise it `from None`: the driver's own text may hold rows.
        """
        state = getattr(error, "sqlstate", None)
        diagnosis = getattr(error, "diag", None)
        text = getattr(diagnosis, "message_primary", None) or _first_line(error)
        fix = _FIXES.get(state or "") or next(
            (each for words, each in _FIXES_AT_CONNECT.items() if words in text), _GENERAL
        )
        return LedgerUnavailable(
            f"the ledger on {self.place} (schema {self.schema}) cannot be used:"
            f" {self._redacted(text)}; no call is let through until it can. To mend it: {fix}"
        )

    def _options(self) -> dict[str, Any]:
        """What the URL does not say itself."""
        said = dict(parse_qsl(urlsplit(self.url).query))
        defaults = {"connect_timeout": CONNECT_SECONDS, **_KEEPALIVE}
        return {name: value for name, value in defaults.items() if name not in said}

    def _redacted(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse(url: str) -> Link:
    """The parts of a ledger's URL, `postgresql://user:password@host:port/database?schema=name`.

    Every other option of the query is libpq's (`sslmode`, `target_session_attrs`, …).

    Raises ConfigurationError without a word of the URL.
    """
    psycopg = driver()
    hint = "write it as postgresql://user:password@host:5432/database"
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise ConfigurationError(f"the ledger's URL cannot be read; {hint}") from None
    if not _whole(parts):
        raise ConfigurationError(f"the ledger's URL cannot be read; {hint}, {_ESCAPES}")
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"the ledger's URL is not a PostgreSQL URL; {hint}")
    schemas = [value for name, value in options if name == "schema"]
    schema = schemas[-1] if schemas else DEFAULT_SCHEMA
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigurationError(
            "the ledger's schema must be a lower-case name such as 'prefect_governor':"
            " letters, digits and underscores, at most 63, not beginning with 'pg_'"
        )
    others = [(name, value) for name, value in options if name != "schema"]
    query = urlencode(others, quote_via=quote)
    plain = urlunsplit(parts._replace(query=query))
    try:
        known = psycopg.conninfo.conninfo_to_dict(plain)
    except psycopg.Error:
        # The driver's text quotes what it could not read, which may be the password.
        raise ConfigurationError(f"the ledger's URL cannot be read; {hint}, {_ESCAPES}") from None
    host = known.get("host") or os.environ.get("PGHOST") or "localhost"
    database = known.get("dbname") or os.environ.get("PGDATABASE") or known.get("user") or "?"
    secrets = {
        str(known[name]) for name in ("password", "sslpassword", "passfile") if known.get(name)
    }
    if parts.password:
        secrets.add(parts.password)
    if known.get("user"):
        secrets.add(f'"{known["user"]}"')
    ordered = tuple(sorted(secrets, key=len, reverse=True))
    return Link(plain, schema, f"PostgreSQL at {host}, database {database}", (plain, *ordered))


def _whole(parts: SplitResult) -> bool:
    """Whether no sign of a password that should have been escaped has split the URL elsewhere: what
    is then taken for the host or the database, and shown, would be a piece of the password."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts]
    return (
        not parts.fragment and "@" not in parts.path and all(map(str.isdigit, filter(None, ports)))
    )


def one(cursor: "Cursor[Any]") -> Mapping[str, Any]:
    """The row of a query that always has one."""
    row: Mapping[str, Any] | None = cursor.fetchone()
    assert row is not None
    return row


def abandon(connection: "Connection[Any]") -> None:
    """In a forked child: let go of the parent's connection without a word to its server.

    Closing would tell the server that the parent's session ends; keeping the socket open would
    hide the parent's death from it.
    """
    with suppress(OSError, driver().Error):
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.dup2(nowhere, connection.fileno(), inheritable=False)
        finally:
            os.close(nowhere)
        connection.close()


def _key(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
