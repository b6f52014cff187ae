"""Who spends on a PostgreSQL ledger: a process with a lock that the server lets go when it dies."""

import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.postgres.fork import tell_of_forks
from prefect_governor.blocks.ledger.postgres.link import abandon, driver, one, parse

if TYPE_CHECKING:
    from psycopg import Connection

# A session that is younger than this holds nobody for dead, in seconds: when a server comes back it
# has lost every session, and the living need a sweep (5 s) and a connection (5 s) to come back too.
GRACE_SECONDS = 12.0

HELD = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = %s::bigint::oid AND objid = %s::bigint::oid"
)


class PostgresOwner:
    """This process, as a ledger on PostgreSQL knows it.

    Its claim is an advisory lock of a session of its own. However the process ends, the server ends
    the session: at once where the machine lives, within 11 s (TCP keepalives) where it does not. So
    a process that is merely stopped is not dead, and one whose machine is cut off is as good as
    dead: others may expire its calls, which then are unconfirmed, and it may still settle them.

    A session that is lost (the network, a restart of the server) is taken again at the next look
    (`is_dead`, which the desk asks every 5 s), with the same id: nothing else ever claims it. Where
    somebody expired the id meanwhile, its calls of before stay unconfirmed until they are settled,
    and its new ones are its own. While it is cut off it is not dead to itself.

    Args:
        url: the ledger's, a secret.
        clock: seconds that never go back, injected by tests.

    Raises:
        ConfigurationError: the URL cannot be read, or psycopg is not installed.
        LedgerUnavailable: the server cannot be used.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = parse(url)
        self._driver = driver()
        self._clock = clock
        self._using = threading.Lock()
        self._session: Connection[Any] | None = None
        self._since = 0.0
        self._claimed = False
        self._ended = False
        self.id = uuid.uuid4().hex
        self.pid = os.getpid()
        with self._using:
            self._hold()
        tell_of_forks(self)

    def __repr__(self) -> str:
        return f"PostgresOwner({self.id!r}, {self._link!r})"

    def is_dead(self, owner: str) -> bool:
        """Whether the process behind another owner's id has ended.

        False where that cannot be told now. Raises LedgerUnavailable where this process's own claim
        cannot be held: others may take its calls for a dead process's, so it must admit none.
        """
        with self._using:
            session = self._hold()
            if owner == self.id or self._clock() - self._since < GRACE_SECONDS:
                return False
            key = self._link.owner_lock(owner) % 2**64
            try:
                found = session.execute(HELD, (key >> 32, key % 2**32)).fetchone()
            except self._driver.Error:
                self._drop()
                return False
            return found is None

    def bury(self, owner: str) -> None:
        """A dead owner leaves nothing behind: its lock went with its session."""

    def forget(self) -> None:
        """In a forked child: let go of the parent's session without a word to the server."""
        if self._session is not None:
            abandon(self._session)
            self._session = None
        self._ended = True

    def release(self) -> None:
        """At a clean end. In a forked child the parent's claim stands."""
        if os.getpid() != self.pid:
            self.forget()
            return
        with self._using:
            self._ended = True
            self._drop()

    def before_fork(self) -> None:
        """See `postgres_fork.Forked`."""
        self._using.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        """A child spends as itself."""
        if in_child:
            self.forget()
        self._using.release()

    def _hold(self) -> "Connection[Any]":
        """The session, alive, with the claim on it."""
        if self._ended:
            raise LedgerUnavailable(f"owner {self.id} was released; it can spend no more")
        session = self._alive()
        if session is None:
            session = self._session = self._link.connect()
            self._since, self._claimed = self._clock(), False
        if not self._claimed:
            # Taken only by a session of ours that the server does not know to be lost yet.
            try:
                asked = session.execute(
                    "SELECT pg_try_advisory_lock(%s) AS claimed", (self._link.owner_lock(self.id),)
                )
                self._claimed = one(asked)["claimed"]
            except self._driver.Error as error:
                self._drop()
                raise self._link.unavailable(error) from None
        return session

    def _alive(self) -> "Connection[Any] | None":
        if self._session is None:
            return None
        try:
            self._session.execute("SELECT 1")
        except self._driver.Error:
            self._drop()
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
