"""A ledger in plain dicts: what the decisions alone do, without any store's help or hindrance."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.batch import current_label
from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.store import NewReservation, Spend
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.limits import LimitRecord
from prefect_governor.blocks.records.notices import Audit, Notice
from tests.unit.clocks import Clock


@dataclass
class MemoryRows:
    """As much of `store.Rows` as a `Batch` asks for."""

    now: Instant
    accounts: dict[str, tuple[Account, str | None]] = field(default_factory=dict)
    purses: dict[tuple[str, str], Purse] = field(default_factory=dict)
    limits: dict[str, LimitRecord] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    calls: dict[str, tuple[Reservation, NewReservation]] = field(default_factory=dict)
    sets: dict[str, Allocation] = field(default_factory=dict)
    marks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    told: list[Notice] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    firsts: dict[str, tuple[int, dict[str, Head]]] = field(default_factory=dict)

    def account(self, key: str) -> tuple[Account, str | None] | None:
        return self.accounts.get(key)

    def put_account(self, account: Account) -> None:
        known = self.accounts.get(account.key)
        last = known[1] if known and known[0].window == account.window else None
        self.accounts[account.key] = (account, last)

    def put_label(self, key: str, label: str) -> None:
        self.accounts[key] = (self.accounts[key][0], label)

    def purse(self, account: Account, label: str) -> Purse:
        empty = Purse(account.key, label, account.name)
        return replace(
            self.purses.get((account.key, label), empty),
            name=account.name,
            ceiling_nano=account.ceiling_nano,
            ceiling_tokens=account.ceiling_tokens,
        )

    def put_purse(self, purse: Purse) -> None:
        self.purses[purse.key] = replace(purse)

    def terms(self, key: str) -> LimitRecord | None:
        return self.limits.get(key)

    def put_terms(self, terms: LimitRecord) -> None:
        self.limits[terms.key] = terms
        gate = self.gates.get(terms.key) or Gate(terms.key, terms.name)
        meters = [RateMeter(rate) for rate in terms.rates]
        self.gates[terms.key] = replace(gate, max_concurrent=terms.max_concurrent, meters=meters)

    def gate(self, key: str) -> Gate | None:
        return deepcopy(self.gates.get(key))

    def put_gate(self, gate: Gate) -> None:
        self.gates[gate.key] = deepcopy(gate)

    def reservations(self, call_ids: Iterable[str]) -> dict[str, Reservation]:
        return {each: replace(self.calls[each][0]) for each in call_ids if each in self.calls}

    def add_reservations(self, added: Iterable[NewReservation]) -> None:
        for new in added:
            assert new.reservation.call_id not in self.calls
            self.calls[new.reservation.call_id] = (replace(new.reservation), new)

    def put_reservations(self, changed: Iterable[Reservation]) -> None:
        for each in changed:
            self.calls[each.call_id] = (replace(each), self.calls[each.call_id][1])

    def remove_reservations(self, call_ids: Iterable[str]) -> None:
        for each in call_ids:
            del self.calls[each]

    def open_reservations(self, owner: str) -> list[str]:
        return [
            call_id
            for call_id, (reservation, new) in self.calls.items()
            if new.owner == owner and reservation.state == "reserved"
        ]

    def put_heads(self, owner: str, heads: Mapping[str, Head]) -> None:
        self.firsts[owner] = (self.now.boot, dict(heads))

    def heads(self, owner: str, heard_since: int) -> dict[str, list[Head]]:
        found: dict[str, list[Head]] = {}
        for whose, (said, heads) in sorted(self.firsts.items()):
            if whose != owner and said >= heard_since:
                for resource, head in heads.items():
                    found.setdefault(resource, []).append(head)
        return found

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        """Nobody leases here."""

    def remove_owner(self, owner: str) -> None:
        """Who is there is not kept here."""

    def allocation(self, key: str) -> Allocation | None:
        return self.sets.get(key)

    def put_allocation(self, allocation: Allocation) -> None:
        self.sets[allocation.key] = allocation

    def allocations(
        self, *, group: str | None = None, owner: str | None = None
    ) -> list[Allocation]:
        return [
            each
            for _, each in sorted(self.sets.items())
            if not each.closed and group in (None, each.group) and owner in (None, each.owner)
        ]

    def mark(self, subject: str, window: str, name: str) -> int:
        return self.marks.get((subject, window, name), 0)

    def put_mark(self, subject: str, window: str, name: str, value: int) -> None:
        self.marks[(subject, window, name)] = value

    def add_notice(self, notice: Notice) -> None:
        self.told.append(notice)

    def add_audit(self, audit: Audit) -> None:
        self.audit.append(audit)


class MemoryStore:
    """As much of `store.Store` as the tests of decisions ask for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows = MemoryRows(clock())

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        rows = deepcopy(self._rows)
        rows.now = self._clock()
        yield rows
        self._rows = rows

    def read_audit(self, subject: str | None = None) -> list[Audit]:
        return [each for each in self._rows.audit if subject in (None, each.subject)]

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        known = self._rows.account(account)
        if known is None:
            return None
        label = label or current_label(known[0], known[1], self._clock())
        return known[0], self._rows.purse(known[0], label)

    def read_gate(self, key: str) -> Gate | None:
        return self._rows.gate(key)

    def read_spend(self, column: str, where: Any) -> dict[str | None, Spend]:
        assert not where
        found: dict[str | None, list[int]] = {}
        for reservation, new in self._rows.calls.values():
            sums = found.setdefault(getattr(new.who, column), [0, 0, 0])
            bound, usage = reservation.bound.nano, reservation.usage
            sums[0] += usage.nano if usage is not None else 0
            sums[1] += bound if reservation.state == "unconfirmed" else 0
            sums[2] += bound if reservation.state == "reserved" else 0
        return {
            name: Spend(0, spent, unconfirmed, reserved, 0, 0)
            for name, (spent, unconfirmed, reserved) in found.items()
        }

    def close(self) -> None:
        """Nothing is open."""
