"""The leases on one of Prefect's global concurrency limits, brought to what is needed.

They stand in the ledger. Slots leave the ledger before they leave the server, so nothing is
admitted under them meanwhile, and a lease that is being given back is not lost with its keeper.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.leases.leasing import (
    FORGOTTEN,
    GOING_BACK,
    LEASE_SECONDS,
    Plan,
    due,
    plan,
    usable_until,
)
from prefect_governor.blocks.leases.limit_server import LimitServer, ServerAway, ServerLimit
from prefect_governor.blocks.ledger.decision.admission import Gate
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import ASKED_BACK, Lease
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.clock import Instant

logger = logging.getLogger("prefect_governor.limits")

# How often the server is asked what a limit says, in seconds: P7's 5.
REFRESH_SECONDS = 2.0
# Surplus goes back when it has lasted this long, in seconds, not at every dip.
SURPLUS_SECONDS = 1.0
# A limit that has been full of others' slots for this long, in seconds, is worth a warning.
FULL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Todo:
    """`stale` admits nobody and may hold slots on the server; `held` is what is usable."""

    plan: Plan
    stale: tuple[Lease, ...] = ()
    held: int = 0


class LimitKeeper:
    """The leases on one limit.

    Args:
        key: the limit in the ledger, which says how many may be at once.
        name: Prefect's global concurrency limit.
        adopt: True for an existing limit that others share: neither made nor edited.
        reserve: how many of its slots are never leased; may be set anew at any time.
        now: the clock.
    """

    def __init__(
        self, desk: LedgerDesk, server: LimitServer, *, key: str, name: str,
        now: Callable[[], Instant], adopt: bool = False, reserve: int = 0,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._server = server
        self.key = key
        self.name = name
        self._now = now
        self._adopt = adopt
        self.reserve = reserve
        self._known: ServerLimit | None = None
        # What the server's limit said when it was as the governor has it: while it says so still,
        # nobody else edited it.
        self._wrote: int | None = None
        self._refreshed: int | None = None
        self._surplus_since: int | None = None
        # What is asked for at once, None for as much as is planned.
        self._size: int | None = None
        self._full_since: int | None = None
        self._told: set[str] = set()

    def tick(self) -> None:
        """Bring the leases to what is needed now.

        Raises ServerAway where nothing more can be asked; another error once the rest is done.
        """
        now = self._now().boot
        if self._refreshed is None or now - self._refreshed >= REFRESH_SECONDS * 1e9:
            self._refresh()
            self._refreshed = now
        if self._known is not None:
            self._apply(self._look())

    def close(self) -> None:
        """Give back, without patience, what nobody needs now."""
        if self._known is not None:
            self._surplus_since = self._now().boot - int(SURPLUS_SECONDS * 1e9)
            todo = self._look()
            self._apply(replace(todo, plan=replace(todo.plan, acquire=())))

    # What the limit says

    def _refresh(self) -> None:
        """Read what the server's limit says; make it where it is missing."""
        gate = self._desk.store.read_gate(self.key)
        if gate is None:
            return
        if gate.max_concurrent is None:
            self._clear(gate)
            return
        found = self._server.read(self.name)
        if found is None:
            if self._adopt:
                self._stop(gate)
                raise GovernorError(
                    f"Prefect has no global concurrency limit {self.name!r} to share; create it"
                    f" with `prefect gcl create {self.name} --limit {gate.max_concurrent}`"
                )
            self._server.create(self.name, gate.max_concurrent)
            found = self._server.read(self.name)
        elif not self._adopt:
            found = self._follow(found, gate.max_concurrent)
        if found is None:
            return
        if not self._adopt and found.limit == gate.max_concurrent:
            self._wrote = found.limit
        self._known = found
        # A limit that was switched off is no limit of Prefect's; the ledger's own cap still holds.
        self._say(gate, self._ours(found) if found.active is not False else None)

    def _stop(self, gate: Gate) -> None:
        """Let nobody in: the limit is gone, and whoever makes it again knows of no lease. Those
        that there are go back when it was."""
        self._known = None
        # Looked for as seldom as it is looked at.
        self._refreshed = self._now().boot
        if gate.leased == 0:
            return

        def work(batch: Batch) -> None:
            batch.flush_gate(self.key)
            terms = batch.rows.terms(self.key)
            if terms is not None and not terms.leased:
                batch.rows.put_terms(replace(terms, leased=True))
            for lease in batch.rows.leases(self.key):
                if lease.usable_until > batch.rows.now.boot:
                    batch.rows.put_lease(replace(lease, usable_until=GOING_BACK))

        self._desk.write(work).result()

    def _ours(self, found: ServerLimit) -> int:
        """How many of a limit's slots may be leased here."""
        if 0 < found.limit <= self.reserve:
            self._warn(
                f"Prefect's limit {self.name!r} has {found.limit} slots, and reserve_for_others"
                f" keeps {self.reserve} of them: none is left, so calls wait"
            )
        return max(0, found.limit - self.reserve)

    def _follow(self, found: ServerLimit, slots: int) -> ServerLimit | None:
        """Bring a limit that we made to an edited governor, unless somebody edited it as well."""
        if found.limit == slots:
            return found
        if found.limit == self._wrote:
            self._server.update(self.name, slots)
            return self._server.read(self.name)
        if found.limit < slots and self._wrote is None:
            self._warn(
                f"Prefect's limit {self.name!r} is {found.limit}, below the governor's {slots}, and"
                f" holds; raise it with `prefect gcl update {self.name} --limit {slots}`"
            )
        return found

    def _clear(self, gate: Gate) -> None:
        """There is no cap (any more): nothing is leased, Prefect's limit is not asked."""
        self._say(gate, None)
        if self._known is None:
            return

        def work(batch: Batch) -> tuple[Lease, ...]:
            batch.flush_gate(self.key)
            return tuple(batch.rows.leases(self.key))

        leases = self._desk.write(work).result()
        self._apply(_Todo(Plan(), leases))
        self._known = None

    def _say(self, gate: Gate, slots: int | None) -> None:
        """Tell the ledger what Prefect's limit says, None for no such limit."""
        if (gate.server_limit, gate.leased is not None) == (slots, slots is not None):
            return

        def work(batch: Batch) -> None:
            batch.flush_gate(self.key)
            terms = batch.rows.terms(self.key)
            if terms is not None and terms.leased != (slots is not None):
                batch.rows.put_terms(replace(terms, leased=slots is not None))
            batch.rows.put_server_limit(self.key, slots)

        self._desk.write(work).result()

    # What is to be done

    def _look(self) -> _Todo:
        known = self._known
        assert known is not None

        def work(batch: Batch) -> _Todo:
            # The leases change under the gate's figures: nothing may be admitted by old ones.
            batch.flush_gate(self.key)
            gate = batch.rows.gate(self.key)
            now = batch.rows.now.boot
            usable: list[Lease] = []
            stale: list[Lease] = []
            for lease in batch.rows.leases(self.key):
                # One on a limit that was deleted, or that another took the place of, holds nothing.
                here = lease.server_id == str(known.id)
                (usable if here and lease.usable_until > now else stale).append(lease)
            if _frozen(known):
                return _Todo(Plan(renew=due(usable, now)))
            for lease in stale:
                if lease.usable_until > now:
                    batch.rows.put_lease(replace(lease, usable_until=GOING_BACK))
            if gate is None or gate.leased is None or gate.cap is None:
                return _Todo(Plan(), tuple(stale))
            todo = plan(
                cap=gate.cap,
                demand=batch.rows.demand(self.key),
                in_flight=gate.in_flight,
                leases=usable,
                now=now,
            )
            held = sum(lease.slots for lease in usable)
            return _Todo(self._patiently(batch, todo, now), tuple(stale), held)

        return self._desk.write(work).result()

    def _patiently(self, batch: Batch, todo: Plan, now: int) -> Plan:
        """Give surplus back once it has lasted."""
        if not todo.release:
            self._surplus_since = None
            return todo
        self._surplus_since = self._surplus_since or now
        if now - self._surplus_since < SURPLUS_SECONDS * 1e9:
            return Plan(todo.acquire, todo.renew)
        for lease in todo.release:
            batch.rows.put_lease(replace(lease, usable_until=GOING_BACK))
        return todo

    # Doing it

    def _apply(self, todo: _Todo) -> None:
        failed: list[Exception] = []

        def each(leases: Iterable[Lease], work: Callable[[Lease], None]) -> None:
            for lease in leases:
                try:
                    work(lease)
                except ServerAway:
                    raise
                except Exception as error:
                    failed.append(error)

        # The most urgent first; what is forgotten takes up the room of what is acquired.
        each(todo.plan.renew, self._renew)
        each(todo.stale, self._give_back)
        each(todo.plan.release, self._give_back)
        self._acquire(todo)
        if failed:
            raise failed[0]

    def _renew(self, lease: Lease) -> None:
        asked_at = self._now().boot
        if self._server.renew(lease.lease_id, LEASE_SECONDS):
            self._keep(replace(lease, usable_until=usable_until(asked_at)))
        else:
            self._warn(f"Prefect's server forgot leases on limit {self.name!r}; leasing anew")
            self._lost(lease)

    def _give_back(self, lease: Lease) -> None:
        # Prefect says yes to a release of what it forgot, and frees nothing: ask first.
        if not self._server.renew(lease.lease_id, LEASE_SECONDS):
            if lease.usable_until == ASKED_BACK:
                # The answer was lost, the slots went back: those that are taken are others'.
                self._forget(lease)
            else:
                self._lost(lease)
            return
        self._keep(replace(lease, usable_until=ASKED_BACK))
        try:
            self._server.release(lease.lease_id)
        except Exception as error:
            if not isinstance(error, ServerAway) or error.undone:
                self._keep(replace(lease, usable_until=GOING_BACK))
            raise
        self._forget(lease)

    def _lost(self, lease: Lease) -> None:
        """Give back what a lease holds that the server no longer knows. Once at most: it leaves
        the ledger first.

        Well within its life, or since a reboot, the server forgot it and keeps its slots taken.
        Otherwise the server may have taken them back: then a limit of our own is compared with
        what we hold on it, and one that others share is left alone.
        """
        known = self._known
        assert known is not None
        here = lease.server_id == str(known.id)
        sure = here and (lease.usable_until == FORGOTTEN or lease.usable_until > self._now().boot)
        if sure and _frozen(known):
            self._keep(replace(lease, usable_until=FORGOTTEN))
            return
        others = self._forget(lease)
        if not (sure or (here and not self._adopt)):
            return
        try:
            found = self._server.read(self.name)
            if found is None or found.id != known.id:
                return
            # Never more than what is taken beside what we know to hold.
            slots = min(lease.slots, (found.active_slots or 0) - others)
            if slots > 0:
                self._server.give_back(self.name, slots)
        except ServerAway as away:
            if away.undone:
                self._keep(replace(lease, usable_until=FORGOTTEN if sure else GOING_BACK))
            raise

    def _acquire(self, todo: _Todo) -> None:
        left = sum(todo.plan.acquire)
        if not left:
            self._full_since = self._size = None
            return
        largest = max(todo.plan.acquire)
        size, held = min(self._size or largest, largest), todo.held
        while left and size:
            slots = min(size, left)
            asked_at = self._now().boot
            lease_id = self._server.acquire(self.name, slots, LEASE_SECONDS)
            if lease_id is None:
                # Beside others who take single slots, many at once are never free.
                size = slots // 2
                continue
            assert self._known is not None
            until = usable_until(asked_at)
            self._keep(Lease(lease_id, self.key, str(self._known.id), slots, until))
            left -= slots
            held += slots
        # Where it is full, one request a tick is enough; it grows again with what is granted.
        self._size = 2 * size if size else 1
        self._say_full(held)

    def _say_full(self, held: int) -> None:
        now = self._now().boot
        self._full_since = None if held else (self._full_since or now)
        if self._full_since is not None and now - self._full_since >= FULL_SECONDS * 1e9:
            self._warn(
                f"Prefect's limit {self.name!r} is full (none of its slots is ours yet), so calls"
                f" wait; see `prefect gcl inspect {self.name}`"
            )

    # The ledger

    def _keep(self, lease: Lease) -> None:
        def work(batch: Batch) -> None:
            batch.flush_gate(self.key)
            batch.rows.put_lease(lease)

        self._desk.write(work).result()

    def _forget(self, lease: Lease) -> int:
        """Drop a lease; returns the slots of the others on the same limit of the server."""

        def work(batch: Batch) -> int:
            batch.flush_gate(self.key)
            batch.rows.remove_lease(lease.lease_id)
            others = batch.rows.leases(self.key)
            return sum(each.slots for each in others if each.server_id == lease.server_id)

        return self._desk.write(work).result()

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            logger.warning("%s", text)


def _frozen(limit: ServerLimit) -> bool:
    """Whether the server drops what is given back: at a limit of 0, or one that is off."""
    return limit.limit == 0 or limit.active is False
