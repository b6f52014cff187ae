"""What a PostgreSQL ledger says of itself as a transaction begins and ends: its clock, its version.

The clock is the server's, so that it is one for all machines. Should the server's be set back, the
ledger's goes on from the latest instant that a transaction wrote: rates and liveness never see time
run backwards. Budget windows are counted by the server's wall clock as it is; their labels never go
back (see `batch.current_label`).
"""

import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.ledger.postgres.cache import Cache, Row
from prefect_governor.blocks.machine.clock import Instant, machine_now

if TYPE_CHECKING:
    from psycopg import Connection, Notify

# How long a process that waits is told of writes without asking anew, in seconds.
LISTEN_SECONDS = 15
CHANNEL = "prefect_governor"

# The estimate of the server's clock may fall by so much a transaction, in nanoseconds: more than
# two clocks drift apart, less than anyone would notice.
_FALL = 10**6

_READ = (
    "SELECT version, latest, ahead, (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
    " AS server"
)
# Of a statement with more of the kind: the next version, told to those who wait.
MOVE = (
    "moved AS (UPDATE clock SET version = version + 1, latest = %s, ahead = %s RETURNING version),"
    " told AS (SELECT pg_notify(%s, %s || ' ' || version::text) FROM moved, listeners"
    " WHERE until > clock_timestamp())"
)


@dataclass(frozen=True, slots=True)
class Beat:
    """The ledger's version and clock, as one transaction saw them."""

    version: int
    now: Instant
    ahead: int

    @classmethod
    def question(cls, cache: Cache | None = None) -> tuple[str, list[Any]]:
        """What to ask, once the lock is held; for what a cache foresees too."""
        more, values = ("", []) if cache is None else cache.question()
        return f"{_READ}{more} FROM clock", values

    @classmethod
    def of(cls, row: Row) -> "Beat":
        """The answer."""
        server, ahead = row["server"], max(row["ahead"], row["latest"] - row["server"])
        return cls(row["version"], Instant(server + ahead, server), ahead)

    def next(self, schema: str) -> tuple[object, ...]:
        """The values of `MOVE`."""
        return self.now.boot, self.ahead, CHANNEL, schema


class Estimate:
    """The ledger's clock between transactions, by this machine's own."""

    def __init__(self, own: Callable[[], Instant] = machine_now) -> None:
        self._own = own
        self._offsets: tuple[int, int] | None = None

    def correct(self, seen: Instant) -> None:
        """The ledger's clock was `seen` a moment ago. So the estimate is late, never early."""
        own = self._own()
        boot, wall = seen.boot - own.boot, seen.wall - own.wall
        if self._offsets is not None:
            boot = max(boot, self._offsets[0] - _FALL)
        self._offsets = boot, wall

    def __call__(self) -> Instant:
        own = self._own()
        boot, wall = self._offsets or (0, 0)
        return Instant(own.boot + boot, own.wall + wall)


class Ear:
    """Hears of versions that others wrote, on one connection."""

    def __init__(self, connection: "Connection[Any]", schema: str) -> None:
        self._db = connection
        self._schema = schema
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        self.version = 0
        connection.add_notify_handler(self._hear)

    def listen(self) -> None:
        self._db.execute(f"LISTEN {CHANNEL}")

    def look(self) -> int:
        """The newest version heard of, without waiting for the server."""
        if self._poll.poll(0):
            self._db.pgconn.consume_input()
            while notice := self._db.pgconn.notifies():
                self._take(notice.extra.decode())
        return self.version

    def _hear(self, notice: "Notify") -> None:
        self._take(notice.payload)

    def _take(self, payload: str) -> None:
        schema, _, version = payload.rpartition(" ")
        if schema == self._schema:
            self.version = max(self.version, int(version))
