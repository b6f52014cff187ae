"""A batch of requests, applied to a store's rows in one transaction. No storage, no clock.

Rows are read once, the pure decision works on them, what changed is written back at the end.
"""

from dataclasses import dataclass, field

from prefect_governor.blocks.budget.windows import latest_label, window_label
from prefect_governor.blocks.errors import CallRefused, LedgerUnavailable
from prefect_governor.blocks.ledger.admission import Book, Decision, Gate, Purse, Reservation
from prefect_governor.blocks.ledger.records import (
    Account,
    Bound,
    Demand,
    LimitTerms,
    Reply,
    Usage,
)
from prefect_governor.blocks.ledger.store import Instant, Rows

# No call comes near: 9 million USD, 9e15 tokens. A thousand of them still fit an int64.
MOST = 2**53
# The longest that one Retry-After holds a limit, in seconds.
LONGEST_HOLD_SECONDS = 86_400.0


def current_label(
    account: Account, last: str | None, now: Instant, *, run_id: str | None = None
) -> str:
    """The window that an account is in. Without a run, a `run` budget is in its latest run's."""
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
class Batch:
    """One transaction's work. Call `write` before the transaction ends."""

    rows: Rows
    owner: str
    book: Book = field(init=False)
    _reservations: dict[str, Reservation | None] = field(default_factory=dict)
    _accounts: dict[str, tuple[Account, str | None] | None] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    # What changed. Writing back what did not would wake every process that waits, for nothing.
    _changed_purses: set[tuple[str, str]] = field(default_factory=set)
    _changed_gates: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.book = Book(self.rows.now.boot)

    # Definitions

    def register(self, account: Account) -> bool:
        """Apply a budget's document. False for one that is not newer than the one applied."""
        known = self.rows.account(account.key)
        if known is not None and known[0].version >= account.version:
            return False
        self.rows.put_account(account)
        self._accounts.pop(account.key, None)
        for purse in self.book.purses.values():
            if purse.account == account.key:
                purse.ceiling_nano = account.ceiling_nano
                purse.ceiling_tokens = account.ceiling_tokens
        return True

    def define(self, terms: LimitTerms) -> None:
        """Apply a limit's terms; what is in flight under it stays."""
        if self.rows.terms(terms.key) != terms:
            self.flush_gate(terms.key)
            self.rows.put_terms(terms)

    def flush_gate(self, key: str) -> None:
        """Hand a limit's figures to the store, so that it can be changed there and read anew."""
        gate = self.book.gates.pop(key, None)
        if gate is not None and key in self._changed_gates:
            self._changed_gates.remove(key)
            self.rows.put_gate(gate)

    # Calls

    def admit(self, demand: Demand) -> Decision | Reservation:
        """Decide a demand now. A reservation means admitted, and written with this batch.

        Raises LedgerUnavailable for a budget or limit that the ledger does not know, CallRefused
        for an id that was used before or a bound that no ledger can hold.
        """
        known = self._reservation(demand.call_id)
        if known is not None:
            if known.state != "reserved":
                raise CallRefused(f"call {demand.call_id!r} was made before: it is {known.state}")
            return known
        if not _holds(demand.bound):
            raise CallRefused(f"the call's bound is impossible: {demand.bound}")
        # Each once: a limit that applies by two of its names is still one slot.
        purses = [self._purse_now(key, demand) for key in dict.fromkeys(demand.accounts)]
        gates = [self._gate(key) for key in dict.fromkeys(demand.limits)]
        decision = self.book.admit(demand, purses, gates)
        if isinstance(decision, Reservation):
            self.rows.add_reservation(decision, self.owner, demand.attribution)
            self._reservations[demand.call_id] = decision
            self._mark(decision)
            for key, label in decision.purses:
                self._move_on(key, label)
        return decision

    def settle(self, call_id: str, usage: Usage, reply: Reply | None = None) -> bool:
        """What a call was billed, and its reply, in one transaction. False where it was resolved
        before: nothing changes then.

        A usage that cannot be (negative, or beyond what a ledger holds) is nobody's bill: the call
        becomes unconfirmed.
        """
        if not _holds(usage):
            return self.unconfirm(call_id, f"the provider's usage is impossible: {usage}")
        reservation = self._load(call_id)
        if reservation is None or not self.book.settle(reservation, usage):
            return False
        self._touch(reservation)
        if reply is not None:
            self.rows.add_reply(reply)
        return True

    def void(self, call_id: str, reason: str) -> bool:
        """Provably not billed."""
        reservation = self._load(call_id)
        if reservation is None or not self.book.void(reservation, reason):
            return False
        self._touch(reservation)
        return True

    def unconfirm(self, call_id: str, reason: str) -> bool:
        """Nobody knows what it was billed."""
        reservation = self._load(call_id)
        if reservation is None or not self.book.unconfirm(reservation, reason):
            return False
        self._touch(reservation)
        return True

    def expire(self, owner: str, reason: str) -> int:
        """A dead owner's calls become unconfirmed, its slots are free. Returns how many."""
        calls = self.rows.open_reservations(owner)
        ended = sum(self.unconfirm(call_id, reason) for call_id in calls)
        self.rows.remove_owner(owner)
        return ended

    def throttle(self, limits: tuple[str, ...], seconds: float) -> None:
        """The provider said 429: nobody under these limits is admitted for that long."""
        # Also of what is no number; a day is as long as any limit's window.
        held = min(seconds, LONGEST_HOLD_SECONDS) if seconds > 0 else 0.0
        until = self.book.now + int(held * 1e9)
        for key in dict.fromkeys(limits):
            gate = self._gate(key)
            self._changed_gates.add(key)
            gate.throttled += 1
            gate.hold_until = max(gate.hold_until, until)

    def write(self) -> None:
        """Write back what the batch changed."""
        for key in self._changed_purses:
            self.rows.put_purse(self.book.purses[key])
        for limit in self._changed_gates:
            self.rows.put_gate(self.book.gates[limit])
        for call_id in self._touched:
            reservation = self._reservations[call_id]
            assert reservation is not None
            self.rows.put_reservation(reservation)
        self._touched.clear()
        self._changed_purses.clear()
        self._changed_gates.clear()

    def _touch(self, reservation: Reservation) -> None:
        self._touched.add(reservation.call_id)
        self._mark(reservation)

    def _mark(self, reservation: Reservation) -> None:
        self._changed_purses.update(reservation.purses)
        self._changed_gates.update(key for key, _ in reservation.gates if key in self.book.gates)

    # Rows, read once

    def _purse_now(self, key: str, demand: Demand) -> Purse:
        known = self._account(key)
        if known is None:
            raise LedgerUnavailable(f"the ledger knows no budget {key!r}; load its governor again")
        account, last = known
        run_id = demand.attribution.run_id or demand.attribution.flow_run_id
        if account.window == "run":
            # Outside a run, calls have a purse of their own, not the latest run's.
            label = current_label(account, None, self.rows.now, run_id=run_id)
        else:
            label = current_label(account, last, self.rows.now)
        return self._purse(account, label)

    def _account(self, key: str) -> tuple[Account, str | None] | None:
        if key not in self._accounts:
            self._accounts[key] = self.rows.account(key)
        return self._accounts[key]

    def _move_on(self, key: str, label: str) -> None:
        """The account's latest window is the one that was just drawn on."""
        known = self._account(key)
        if known is not None and known[1] != label:
            self.rows.put_label(key, label)
            self._accounts[key] = (known[0], label)

    def _purse(self, account: Account, label: str) -> Purse:
        key = (account.key, label)
        if key not in self.book.purses:
            self.book.purses[key] = self.rows.purse(account, label)
        return self.book.purses[key]

    def _gate(self, key: str) -> Gate:
        gate = self.book.gates.get(key) or self.rows.gate(key)
        if gate is None:
            raise LedgerUnavailable(f"the ledger knows no limit {key!r}; load its governor again")
        return self.book.gates.setdefault(key, gate)

    def _reservation(self, call_id: str) -> Reservation | None:
        if call_id not in self._reservations:
            self._reservations[call_id] = self.rows.reservation(call_id)
        return self._reservations[call_id]

    def _load(self, call_id: str) -> Reservation | None:
        """A reservation with the purses and gates that it touches."""
        reservation = self._reservation(call_id)
        if reservation is None:
            return None
        for key, label in reservation.purses:
            known = self._account(key)
            assert known is not None, key
            self._purse(known[0], label)
        for key, _ in reservation.gates:
            if key not in self.book.gates and (gate := self.rows.gate(key)) is not None:
                self.book.gates[key] = gate
        return reservation


def _holds(figures: Bound | Usage) -> bool:
    return all(
        0 <= figure <= MOST
        for figure in (figures.nano, figures.input_tokens, figures.output_tokens)
    )
