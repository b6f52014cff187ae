"""An election among several machines, which share a ledger on PostgreSQL and no folder."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.machine.election import Election

if TYPE_CHECKING:
    from psycopg import Connection

# How often one who was not elected stands again, and one who is asks whether it is still, in
# seconds. A lock goes with its session, so what is elected may be stale for so long.
ASK_SECONDS = 2.0


class SharedElection:
    """An advisory lock of a session that the server ends when its process dies.

    Of each machine one process stands, the one that holds the machine's own lock at `path`.

    Args:
        path: the machine's lock; its name is what is elected for.
        url: the ledger's, a secret.
    """

    def __init__(
        self, path: Path, url: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._here = Election(path)
        self._url = url
        digest = hashlib.sha256(f"prefect-governor election {path.stem}".encode()).digest()
        self._lock = int.from_bytes(digest[:8], "big", signed=True)
        self._clock = clock
        self._pid = os.getpid()
        self._session: Connection[Any] | None = None
        self._elected = False
        self._asked: float | None = None

    def won(self) -> bool:
        """Whether this process is elected; stands for election where nobody is.

        Raises LedgerUnavailable where the server cannot be asked, OSError as `Election` does.
        """
        if not self._here.won():
            self._drop()
            return False
        now = self._clock()
        if self._asked is None or now - self._asked >= ASK_SECONDS:
            self._asked = now
            self._elected = self._ask()
        return self._elected

    def close(self) -> None:
        """Stand down. In a forked child: drop what it inherited; the parent stays elected."""
        if self._session is not None and os.getpid() == self._pid:
            # Else it is given back when the server notices that the session ended.
            with suppress(Exception):
                self._session.execute("SELECT pg_advisory_unlock(%s)", (self._lock,))
        self._drop()
        self._here.close()

    def _ask(self) -> bool:
        # Its driver is an extra, which a ledger in a file does without.
        from prefect_governor.blocks.ledger.postgres.link import driver, parse

        error: type[Exception] = driver().Error
        if self._session is not None:
            try:
                self._session.execute("SELECT 1")
                if self._elected:
                    return True
            except error:
                self._drop()
        link = parse(self._url)
        try:
            if self._session is None:
                self._session = link.connect()
            row = self._session.execute(
                "SELECT pg_try_advisory_lock(%s) AS won", (self._lock,)
            ).fetchone()
        except error as lost:
            self._drop()
            raise link.unavailable(lost) from None
        return bool(row and row["won"])

    def _drop(self) -> None:
        from prefect_governor.blocks.ledger.postgres.link import abandon

        session, self._session = self._session, None
        self._elected, self._asked = False, None
        if session is None:
            return
        if os.getpid() != self._pid:
            # Its goodbye would end the parent's session.
            abandon(session)
            return
        with suppress(Exception):
            session.close()
