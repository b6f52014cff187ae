"""Keeps a governor's leases on Prefect's global concurrency limits, and its documents fresh.

One thread in each process that uses the governor; one of them, elected by a lock that the kernel
lets go when its holder dies, talks to the server for all. The leases stand in the ledger and
belong to the governor: whoever is elected next renews and releases what the last one leased.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from prefect_governor.blocks.context.settings import under_these_settings
from prefect_governor.blocks.leases.lease_keeper import REFRESH_SECONDS
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.machine.election import Electing, Election

logger = logging.getLogger("prefect_governor.limits")

TICK_SECONDS = 0.2
# How long an end waits for leases to go back, in seconds; and where the server does not answer.
# What stays is in the ledger, for the next who is elected.
STOP_SECONDS = 5.0
STOP_FAILING_SECONDS = 1.5


class Kept(Protocol):
    """What a keeper keeps."""

    def tick(self) -> None:
        """Bring it to what it should be now."""

    def close(self) -> None:
        """Give back what nobody needs."""


def _nothing(_: bool) -> None:
    """Where there is nothing to tell."""


class Keeper:
    """The thread that keeps a governor's limits, while it is elected, and its documents, always;
    under the Prefect settings of whoever made it.

    Args:
        folder: where the election's lock lives; all processes of a ledger share it.
        governor_key: names the governor in the election.
        limits: may be changed by `refresh`.
        refresh: reads the governor's documents and applies what is newer.
        within: entered by the thread for its life.
        elect: makes the election of a lock file; by default among the processes of this machine.
        tell: called at every tick to tell what the ledger has to tell, and with True at the end.
    """

    def __init__(
        self,
        folder: Path,
        governor_key: str,
        limits: Sequence[Kept],
        refresh: Callable[[], None],
        *,
        now: Callable[[], Instant],
        within: Callable[[], AbstractContextManager[object]] = nullcontext,
        tell: Callable[[bool], None] = _nothing,
        elect: Callable[[Path], Electing] = Election,
    ) -> None:
        digest = hashlib.sha256(governor_key.encode()).hexdigest()[:16]
        self._election = elect(folder / f"{digest}.keeper")
        self._limits = limits
        self._refresh = refresh
        self._now = now
        self._within = within
        self._tell = tell
        self._refreshed = now().boot
        self._failing = False
        self._stopping = threading.Event()
        self._stop_by = 0.0
        self._said: set[str] = set()
        self._thread = threading.Thread(
            target=under_these_settings(self._serve), name="prefect-governor-keeper", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end, and to give back first what nobody needs."""
        self._stop_by = time.monotonic() + (STOP_FAILING_SECONDS if self._failing else STOP_SECONDS)
        self._stopping.set()

    def stop(self) -> None:
        """End the thread. Leases that others need stay, for the next who is elected."""
        if not self._stopping.is_set():
            self.end()
        self._thread.join(timeout=max(0.0, self._stop_by - time.monotonic()))
        if not self._thread.is_alive():
            self._election.close()

    def forget(self) -> None:
        """In a forked child: drop the parent's lock without releasing it for the parent."""
        self._election.close()

    def _serve(self) -> None:
        with self._within():
            while not self._stopping.is_set():
                documents = self._guarded(self._keep_documents)
                limits = self._guarded(self._tick)
                told = self._guarded(lambda: self._tell(False))
                self._failing = not (documents and limits and told)
                self._stopping.wait(TICK_SECONDS)
            if not self._failing:
                self._guarded(self._close)
                self._guarded(lambda: self._tell(True))

    def _keep_documents(self) -> None:
        now = self._now().boot
        if now - self._refreshed >= REFRESH_SECONDS * 1e9:
            self._refreshed = now
            self._refresh()

    def _tick(self) -> None:
        if self._limits and self._election.won():
            self._each(lambda kept: kept.tick())

    def _close(self) -> None:
        if self._limits and self._election.won():
            self._each(lambda kept: kept.close())

    def _each(self, work: Callable[[Kept], None]) -> None:
        """One limit that cannot be kept does not stop the others; a server that is away does."""
        failed: Exception | None = None
        for limit in self._limits:
            try:
                work(limit)
            except ConnectionError:
                raise
            except Exception as error:
                failed = error
        if failed is not None:
            raise failed

    def _guarded(self, work: Callable[[], None]) -> bool:
        """A server that is busy or away is asked again at the next tick; calls wait meanwhile.
        False where it failed; whatever it was, the thread goes on."""
        try:
            work()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text not in self._said:
                self._said.add(text)
                logger.warning("keeping the governor's limits: %s; trying again", text)
            return False
        return True
