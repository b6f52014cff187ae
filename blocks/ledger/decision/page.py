"""The rows that a batch works on: read once, written back together. No decision, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.admission import Book, Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.outbox import Outbox
from prefect_governor.blocks.ledger.decision.purse import is_allocation, low_on, purse_of
from prefect_governor.blocks.ledger.decision.store import NewReservation, Rows
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.money.windows import latest_label, window_label
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound, Demand, Facts, Usage
from prefect_governor.blocks.records.drawn import WANTED


def current_label(
    account: Account, last: str | None, now: Instant, *, run_id: str | None = None
) -> str:
    """The window that an account is in. Without a run, a `run` budget is in its latest run's."""
    if account.window == "total":
        return "total"
    if account.window == "run" and run_id is None and last is not None:
        return last
    label = window_label(
        account.window,
        time_zone=account.time_zone,
        wall_seconds=now.wall / 1e9,
        run_id=run_id,
    )
    return latest_label(account.window, label, last)


@dataclass
class Page:
    """What one transaction has read, and what of it changed: a unit of work."""

    rows: Rows
    book: Book = field(init=False)
    telling: Outbox = field(init=False)
    _reservations: dict[str, Reservation | None] = field(default_factory=dict)
    _accounts: dict[str, tuple[Account, str | None] | None] = field(default_factory=dict)
    _labels: dict[str, str] = field(default_factory=dict)
    _windows: dict[str, str] = field(default_factory=dict)
    _added: dict[str, NewReservation] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _dropped: set[str] = field(default_factory=set)
    # What changed. Writing back what did not would wake every process that waits, for nothing.
    _changed_gates: set[str] = field(default_factory=set)
    _changed_allocations: set[str] = field(default_factory=set)
    _groups: set[str] = field(default_factory=set)
    _learned: dict[str, Learned] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = Book(self.rows.now.boot)
        self.telling = Outbox(self.rows)

    # Reservations

    def foresee(self, call_ids: Iterable[str]) -> None:
        """These calls will be asked for: read those that are there at once."""
        missing = [each for each in call_ids if each not in self._reservations]
        if missing:
            found = self.rows.reservations(missing)
            self._reservations.update((each, found.get(each)) for each in missing)

    def reservation(self, call_id: str) -> Reservation | None:
        if call_id not in self._reservations:
            self.foresee([call_id])
        return self._reservations[call_id]

    def unknown(self, call_id: str) -> None:
        """The ledger does not know this call, so it need not be asked for."""
        self._reservations.setdefault(call_id, None)

    def load(self, call_id: str) -> Reservation | None:
        """A reservation with the purses, allocations and gates that it touches."""
        reservation = self.reservation(call_id)
        if reservation is None:
            return None
        for key in reservation.purses:
            if key not in self.book.purses:
                self.purse(self.known_account(key[0]), key[1])
            if is_allocation(key[0]):
                self.allocation(key[0])
        for limit, _ in reservation.gates:
            if limit not in self.book.gates and (gate := self.rows.gate(limit)) is not None:
                self.book.gates[limit] = gate
        return reservation

    def add(self, new: NewReservation) -> None:
        """A reservation that this batch made, already charged."""
        reservation = new.reservation
        self._added[reservation.call_id] = new
        self._reservations[reservation.call_id] = reservation
        self._changed_gates.update(key for key, _ in reservation.gates)
        for key, label in reservation.purses:
            known = self.account(key)
            if known is None:
                continue
            # A call under an allocation may draw on a window that is over.
            latest = latest_label(known[0].window, label, known[1])
            if known[1] != latest:
                self._labels[key] = latest
                self._accounts[key] = (known[0], latest)

    def drop(self, reservation: Reservation) -> None:
        """A reservation that nothing is kept of."""
        call_id = reservation.call_id
        self._touched.discard(call_id)
        if self._added.pop(call_id, None) is None:
            self._dropped.add(call_id)
        self._reservations[call_id] = None
        gates = self.book.gates
        self._changed_gates.update(key for key, _ in reservation.gates if key in gates)

    def touch(self, reservation: Reservation) -> None:
        """A reservation that this batch resolved."""
        if reservation.call_id not in self._added:
            self._touched.add(reservation.call_id)
        gates = self.book.gates
        self._changed_gates.update(key for key, _ in reservation.gates if key in gates)

    # Accounts and purses

    def account(self, key: str) -> tuple[Account, str | None] | None:
        """An account and the label of its latest window."""
        if key not in self._accounts:
            self._accounts[key] = self.rows.account(key)
        return self._accounts[key]

    def known_account(self, key: str) -> Account:
        """Raises LedgerUnavailable for one that the ledger does not know."""
        known = self.account(key)
        if known is None:
            raise LedgerUnavailable(f"the ledger knows no budget {key!r}; load its governor again")
        return known[0]

    def put_account(self, account: Account) -> None:
        """Write an account; its purses here have its ceiling."""
        self.write_labels()
        self.rows.put_account(account)
        self._accounts.pop(account.key, None)
        self._windows.pop(account.key, None)
        for purse in self.book.purses.values():
            if purse.account == account.key:
                purse.name = account.name
                purse.ceiling_nano = account.ceiling_nano
                purse.ceiling_tokens = account.ceiling_tokens

    def purse(self, account: Account, label: str) -> Purse:
        key = (account.key, label)
        purse = self.book.purses.get(key)
        if purse is None:
            purse = self.book.purses[key] = self.rows.purse(account, label)
            self.telling.saw(purse)
        return purse

    def purse_now(self, key: str, demand: Demand) -> Purse:
        """The purse of the window that an account is in for a call."""
        account = self.known_account(key)
        if account.window == "run":
            # Outside a run, calls have a purse of their own, not the latest run's.
            run_id = demand.purse_run or demand.run
            return self.purse(account, current_label(account, None, self.rows.now, run_id=run_id))
        return self.purse(account, self.window_of(account))

    def window_of(self, account: Account) -> str:
        """The label of the window that an account is in now, told once in a batch."""
        label = self._windows.get(account.key)
        if label is None:
            known = self.account(account.key)
            last = None if known is None else known[1]
            label = self._windows[account.key] = current_label(account, last, self.rows.now)
        return label

    def want(self, purses: Iterable[Purse], bound: Bound, fitted: Bound | None = None) -> None:
        """A call waits: what more it needs of purses that are drawn is told to who draws."""
        for purse in purses:
            drawing = purse.drawing
            if drawing is None:
                continue
            low = fitted is not None and low_on(purse, bound, (0, 0))
            nano, tokens = purse.lacks(fitted if fitted is not None and low else bound)
            if nano > drawing.nano.wanted and drawing.nano.may_have(nano, purse.ceiling_nano):
                self.rows.put_mark(*purse.key, WANTED["nano"], nano)
                drawing = replace(drawing, nano=replace(drawing.nano, wanted=nano))
            more = drawing.tokens
            if tokens > more.wanted and more.may_have(tokens, purse.ceiling_tokens):
                self.rows.put_mark(*purse.key, WANTED["tokens"], tokens)
                drawing = replace(drawing, tokens=replace(more, wanted=tokens))
            purse.drawing = drawing

    # Allocations

    def allocation(self, key: str) -> Allocation | None:
        """An allocation with its purse and those that it is set aside in."""
        known = self.book.money.allocations.get(key)
        if known is None:
            known = self.rows.allocation(key)
            if known is not None:
                self.take_in(known)
        return known

    def take_in(self, allocation: Allocation) -> None:
        """An allocation of the ledger, with all that its changes touch."""
        if allocation.key in self.book.money.allocations:
            return
        self.book.money.allocations[allocation.key] = allocation
        for key, label in (purse_of(allocation.key), *allocation.within):
            self.purse(self.known_account(key), label)
            if is_allocation(key):
                self.allocation(key)

    def take_in_group(self, group: str | None) -> bool:
        """All open allocations of a group. False where they were here before, or there is none."""
        if group is None or group in self._groups:
            return False
        self._groups.add(group)
        for each in self.rows.allocations(group=group):
            self.take_in(each)
        return True

    def changed_allocation(self, key: str) -> None:
        self._changed_allocations.add(key)

    # Gates

    def gate(self, key: str) -> Gate:
        gate = self.book.gates.get(key)
        if gate is None:
            gate = self.rows.gate(key)
            if gate is None:
                raise LedgerUnavailable(
                    f"the ledger knows no limit {key!r}; load its governor again"
                )
            self.book.gates[key] = gate
        return gate

    def changed_gate(self, key: str) -> None:
        self._changed_gates.add(key)

    def flush_gate(self, key: str) -> None:
        """Hand a limit's figures to the store, so that it can be changed there and read anew."""
        gate = self.book.gates.pop(key, None)
        if gate is not None and key in self._changed_gates:
            self._changed_gates.remove(key)
            self.rows.put_gate(gate)

    # What was learned

    def learn(self, facts: Facts, usage: Usage) -> None:
        known = self._learned.get(facts.model) or self.rows.learned(facts.model)
        self._learned[facts.model] = (known or Learned(facts.model)).observe(facts, usage)

    # The end

    def write(self) -> None:
        """Write back what changed."""
        money = self.book.money
        self.write_labels()
        for key in sorted(money.resized):
            purse = self.book.purses[purse_of(key)]
            self.rows.put_account(
                Account(key, purse.name, purse.ceiling_nano, purse.ceiling_tokens)
            )
            self._accounts.pop(key, None)
        for key in sorted(self._changed_allocations):
            self.rows.put_allocation(money.allocations[key])
        for pair in sorted(money.changed):
            self.rows.put_purse(self.book.purses[pair])
        for limit in sorted(self._changed_gates):
            self.rows.put_gate(self.book.gates[limit])
        if self._added:
            self.rows.add_reservations(list(self._added.values()))
            resolved = [each for each in self._added.values() if _is_over(each.reservation)]
            self.rows.put_reservations([each.reservation for each in resolved])
        if self._touched:
            found = (self._reservations[each] for each in sorted(self._touched))
            self.rows.put_reservations([each for each in found if each is not None])
        if self._dropped:
            self.rows.remove_reservations(sorted(self._dropped))
        for learned in self._learned.values():
            self.rows.put_learned(learned)
        self.telling.write(self.book.purses)
        for changed in (
            money.resized, money.changed, self._changed_allocations, self._changed_gates,
            self._touched, self._dropped,
        ):  # fmt: skip
            changed.clear()
        self._added.clear()
        self._learned.clear()

    def write_labels(self) -> None:
        """The latest windows of accounts are those that were just drawn on."""
        for key, label in self._labels.items():
            self.rows.put_label(key, label)
        self._labels.clear()


def _is_over(reservation: Reservation) -> bool:
    return reservation.state != "reserved"
