"""Keeps a governor's lease on Prefect's global concurrency limits, and its documents fresh.

One thread in each process that uses the governor; one of them, elected by a lock that the kernel
lets go when its holder dies, talks to the server for all. The leases stand in the ledger and
belong to the governor: whoever is elected next renews and releases what the last one leased.
"""

import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from uuid import UUID

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.store import Instant, Lease
from prefect_governor.blocks.limits.leasing import LEASE_SECONDS, Plan, plan, usable_until

logger = logging.getLogger("prefect_governor.limits")

TICK_SECONDS = 0.2
# How often the server is asked what a limit says, and the documents read, in seconds: P7's 5.
REFRESH_SECONDS = 2.0
# Surplus goes back when it has lasted this long, in seconds, not at every dip.
SURPLUS_SECONDS = 1.0


class LimitServer(Protocol):
    """Prefect's global concurrency limits. `prefect_limits.PrefectLimits` is the real one."""

    def read(self, name: str) -> "ServerLimit | None": ...

    def create(self, name: str, slots: int) -> None: ...

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
        """A lease's id, None where the limit has no room."""

    def renew(self, lease_id: str, seconds: float) -> bool:
        """False where the server no longer knows the lease."""

    def release(self, lease_id: str) -> None: ...


class ServerLimit(Protocol):
    """What the server says of a limit."""

    @property
    def id(self) -> UUID: ...

    @property
    def limit(self) -> int: ...

    @property
    def active(self) -> bool | None: ...


class LimitKeeper:
    """The lease on one limit.

    Args:
        key: the limit in the ledger.
        name: Prefect's global concurrency limit.
        max_concurrent: what it is made with where it is missing.
        adopt: True for an existing limit, which is never made.
    """

    def __init__(
        self, desk: LedgerDesk, server: LimitServer, *, key: str, name: str, max_concurrent: int,
        adopt: bool = False,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._server = server
        self.key = key
        self._name = name
        self._max_concurrent = max_concurrent
        self._adopt = adopt
        self._known: ServerLimit | None = None
        self._refreshed = 0
        self._surplus_since: int | None = None

    def tick(self, now: Instant) -> None:
        """Bring the leases to what is needed now."""
        if not self._refreshed or now.boot - self._refreshed >= REFRESH_SECONDS * 1e9:
            self._refresh()
            self._refreshed = now.boot
        self._apply(self._plan().result(), now)

    def close(self, now: Instant) -> None:
        """Give back, without patience, what nobody needs now."""
        self._surplus_since = now.boot - int(SURPLUS_SECONDS * 1e9)
        todo = self._plan().result()
        self._apply(replace(todo, acquire=()), now)

    def _refresh(self) -> None:
        """Read what the server's limit says; make it where it is missing."""
        found = self._server.read(self._name)
        if found is None:
            if self._adopt:
                raise GovernorError(
                    f"Prefect has no global concurrency limit {self._name!r} to share; create it"
                    f" with `prefect gcl create {self._name} --limit {self._max_concurrent}`"
                )
            self._server.create(self._name, self._max_concurrent)
            found = self._server.read(self._name)
        if found is None:
            return
        if self._known is not None and self._known.id != found.id:
            # Deleted and made again: leases on the old one hold nothing of the new one.
            self._desk.write(self._forget_leases).result()
        self._known = found
        # A limit that was switched off is no limit of Prefect's; the ledger's own cap still holds.
        slots = found.limit if found.active is not False else None
        self._desk.write(lambda batch: self._set_limit(batch, slots)).result()

    def _set_limit(self, batch: Batch, slots: int | None) -> None:
        batch.flush_gate(self.key)
        terms = batch.rows.terms(self.key)
        if terms is not None and terms.leased != (slots is not None):
            batch.rows.put_terms(replace(terms, leased=slots is not None))
        batch.rows.put_server_limit(self.key, slots)

    def _forget_leases(self, batch: Batch) -> None:
        batch.flush_gate(self.key)
        for lease in batch.rows.leases(self.key):
            batch.rows.remove_lease(lease.lease_id)

    def _plan(self) -> "Future[Plan]":
        def work(batch: Batch) -> Plan:
            # The leases change under the gate's figures: nothing may be admitted by old ones.
            batch.flush_gate(self.key)
            gate = batch.rows.gate(self.key)
            if gate is None or gate.leased is None or gate.cap is None:
                return Plan()
            now = batch.rows.now.boot
            kept = []
            for lease in batch.rows.leases(self.key):
                if lease.usable_until > now:
                    kept.append(lease)
                else:
                    batch.rows.remove_lease(lease.lease_id)
            todo = plan(
                cap=gate.cap,
                demand=batch.rows.demand(self.key),
                in_flight=gate.in_flight,
                leases=kept,
                now=now,
            )
            return self._patiently(batch, todo, now)

        return self._desk.write(work)

    def _patiently(self, batch: Batch, todo: Plan, now: int) -> Plan:
        """Give surplus back once it has lasted. It leaves the ledger before it leaves the server,
        so no call is admitted under it meanwhile."""
        if not todo.release:
            self._surplus_since = None
            return todo
        self._surplus_since = self._surplus_since or now
        if now - self._surplus_since < SURPLUS_SECONDS * 1e9:
            return Plan(todo.acquire, todo.renew)
        for lease in todo.release:
            batch.rows.remove_lease(lease.lease_id)
        return todo

    def _apply(self, todo: Plan, now: Instant) -> None:
        if self._known is None:
            return
        for lease in todo.release:
            self._server.release(lease.lease_id)
        for lease in todo.renew:
            if self._server.renew(lease.lease_id, LEASE_SECONDS):
                self._keep(lease.lease_id, lease.slots, usable_until(now.boot))
            else:
                self._desk.write(_forgetting(lease)).result()
                logger.warning("Prefect forgot a lease on limit %r; leasing anew", self._name)
        for slots in todo.acquire:
            lease_id = self._server.acquire(self._name, slots, LEASE_SECONDS)
            if lease_id is None:
                break
            self._keep(lease_id, slots, usable_until(now.boot))

    def _keep(self, lease_id: str, slots: int, until: int) -> None:
        assert self._known is not None
        lease = Lease(lease_id, self.key, str(self._known.id), slots, until)

        def work(batch: Batch) -> None:
            batch.flush_gate(self.key)
            batch.rows.put_lease(lease)

        self._desk.write(work).result()


class Keeper:
    """The thread that keeps a governor's limits, while it is elected, and its documents, always.

    Args:
        folder: where the election's lock lives; all processes of a ledger share it.
        governor_key: names the governor in the election.
        refresh: reads the governor's documents and applies what is newer.
    """

    def __init__(
        self,
        folder: Path,
        governor_key: str,
        limits: list[LimitKeeper],
        refresh: Callable[[], None],
        *,
        now: Callable[[], Instant],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(governor_key.encode()).hexdigest()[:16]
        self._path = folder / f"{digest}.keeper"
        self._limits = limits
        self._refresh = refresh
        self._now = now
        self._elected: int | None = None
        self._refreshed = now().boot
        self._stopping = threading.Event()
        self._said: set[str] = set()
        self._thread = threading.Thread(
            target=self._serve, name="prefect-governor-keeper", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Leases that others need stay, for the next who is elected."""
        self._stopping.set()
        self._thread.join(timeout=10)
        if self._elected is not None:
            for limit in self._limits:
                self._guarded(lambda limit=limit: limit.close(self._now()))  # type: ignore[misc]
            os.close(self._elected)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._guarded(self._keep_documents)
            if self._limits and self._is_elected():
                for limit in self._limits:
                    self._guarded(lambda limit=limit: limit.tick(self._now()))  # type: ignore[misc]
            self._stopping.wait(TICK_SECONDS)

    def _keep_documents(self) -> None:
        now = self._now().boot
        if now - self._refreshed >= REFRESH_SECONDS * 1e9:
            self._refreshed = now
            self._refresh()

    def _is_elected(self) -> bool:
        if self._elected is None:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._elected = lock
        return True

    def _guarded(self, work: Callable[[], None]) -> None:
        """A server that is busy or away is asked again at the next tick; calls wait meanwhile."""
        try:
            work()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text not in self._said:
                self._said.add(text)
                logger.warning("keeping the governor's limits: %s; trying again", text)


def _forgetting(lease: Lease) -> Callable[[Batch], None]:
    def work(batch: Batch) -> None:
        batch.flush_gate(lease.limit_key)
        batch.rows.remove_lease(lease.lease_id)

    return work
