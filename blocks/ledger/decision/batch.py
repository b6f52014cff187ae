"""A batch of requests, applied to a store's rows in one transaction. No storage, no clock.

Rows are read once, the pure decision works on them, what changed is written back at the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prefect_governor.blocks.errors import CallRefused, ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision import allocations
from prefect_governor.blocks.ledger.decision.admission import (
    Book,
    Decision,
    Purse,
    Refused,
    Reservation,
    Share,
    Wait,
)
from prefect_governor.blocks.ledger.decision.page import Page, current_label
from prefect_governor.blocks.ledger.decision.purse import is_allocation
from prefect_governor.blocks.ledger.decision.store import NewReservation, Rows
from prefect_governor.blocks.limits.upstream import TOO_MANY
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound, Demand, Facts, Reply, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Signals
from prefect_governor.blocks.records.notices import Audit

__all__ = ["LONGEST_HOLD_SECONDS", "MOST", "Batch", "current_label"]

# No call comes near: 9 million USD, 9e15 tokens. A thousand of them still fit an int64.
MOST = 2**53
# The longest that one Retry-After holds a limit, in seconds.
LONGEST_HOLD_SECONDS = 86_400.0


@dataclass
class Batch:
    """One transaction's work. Call `write` before the transaction ends."""

    rows: Rows
    owner: str
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.page = Page(self.rows)

    @property
    def book(self) -> Book:
        return self.page.book

    # Definitions

    def register(self, account: Account) -> bool:
        """Apply a budget's document. False for one that is not newer than the one applied.

        Raises ConfigurationError for an allocation: that is made by `allocate`.
        """
        if is_allocation(account.key):
            raise ConfigurationError(f"{account.key!r} is an allocation, not a budget")
        known = self.page.account(account.key)
        if known is None:
            self.page.put_account(account)
            return True
        before, last = known
        if before.version >= account.version:
            return False
        purse = None if last is None else self.page.purse(before, last)
        self.page.put_account(account)
        same = (before.ceiling_nano, before.ceiling_tokens) == (
            account.ceiling_nano,
            account.ceiling_tokens,
        )
        if not same:
            label = current_label(account, last, self.rows.now)
            shown = purse or Purse(account.key, label, account.name)
            self.page.telling.ceiling_changed(before, account, shown)
        return True

    def define(self, terms: LimitRecord) -> None:
        """Apply a limit's terms; what is in flight under it stays."""
        if self.rows.terms(terms.key) != terms:
            self.flush_gate(terms.key)
            self.rows.put_terms(terms)

    def flush_gate(self, key: str) -> None:
        """Hand a limit's figures to the store, so that it can be changed there and read anew."""
        self.page.flush_gate(key)

    def allocate(self, allocation: Allocation, name: str, bound: Bound) -> None:
        """Set a part of a chain of budgets aside for one consumer; see `LedgerDesk.allocate`."""
        allocations.allocate(self.page, allocation, name, bound)

    def share(self, parts: Sequence[Allocation]) -> None:
        """Set what is free aside in equal parts; see `allocations.share`."""
        allocations.share(self.page, parts)

    def give_back(self, key: str) -> int:
        """Close an allocation. Returns the nano-dollars that went back."""
        return allocations.give_back(self.page, key)

    # Calls

    def foresee(self, call_ids: Iterable[str]) -> None:
        """The batch will name these calls: they are read together."""
        self.page.foresee(call_ids)

    def admit(
        self, demand: Demand, *, tell: bool = True, kept: Mapping[str, Share] = {}
    ) -> Decision | Reservation:
        """Decide a demand now. A reservation means admitted, and written with this batch.

        A refusal is noticed unless `tell` is False. `kept` is left to calls that have waited
        longer, by what is short.

        Raises LedgerUnavailable for a budget or limit that the ledger does not know, CallRefused
        for an id that was used before or a bound that no ledger can hold.
        """
        known = self.page.reservation(demand.call_id)
        if known is not None:
            if known.state != "reserved":
                raise CallRefused(f"call {demand.call_id!r} was made before: it is {known.state}")
            return known
        for bound in (demand.bound, demand.fitted):
            if bound is not None and not _holds(bound):
                raise CallRefused(f"the call's bound is impossible: {bound}")
        under = self._allocation_of(demand)
        if under is not None and under.closed and not demand.observe:
            return Refused(f"allocation {under.label!r} was given back: it is empty")
        purses = self._purses(demand, under)
        # Each once: a limit that applies by two of its names is still one slot.
        gates = [self.page.gate(key) for key in dict.fromkeys(demand.limits)]
        decision = self.book.admit(demand, purses, gates, kept)
        if (
            not isinstance(decision, Reservation)
            and under is not None
            and under.elastic
            and self.page.take_in_group(under.group)
        ):
            # What others of its group have left is its own to take.
            decision = self.book.admit(demand, purses, gates, kept)
        if isinstance(decision, Reservation):
            new = NewReservation(decision, self.owner, demand.attribution, demand.request_id)
            self.page.add(new)
        elif (
            isinstance(decision, Refused)
            and tell
            and not demand.yields
            and decision.purse is not None
        ):
            self.page.telling.refused(decision, self.book.purses[decision.purse], demand)
        elif isinstance(decision, Wait):
            self.page.want(purses, demand.bound, demand.fitted)
        return decision

    def settle(
        self,
        call_id: str,
        usage: Usage,
        reply: Reply | None = None,
        facts: Facts | None = None,
        signals: Signals | None = None,
    ) -> bool:
        """What a call was billed, and its reply, in one transaction. False where it was resolved
        before: nothing changes then.

        A usage that cannot be (negative, or beyond what a ledger holds) is nobody's bill: the call
        becomes unconfirmed. One above the call's bound is recorded in full, and noticed.
        """
        if not _holds(usage):
            return self.unconfirm(call_id, f"the provider's usage is impossible: {usage}", signals)
        reservation = self.page.load(call_id)
        if reservation is None or not self.book.settle(reservation, usage, signals):
            return False
        self.page.touch(reservation)
        if usage.nano > reservation.bound.nano or usage.tokens > reservation.bound.tokens:
            model = None if facts is None else facts.model
            self.page.telling.exceeded(reservation, usage, self.book.purses, model)
        if facts is not None:
            self.page.learn(facts, usage)
        if reply is not None:
            self.rows.add_reply(reply)
        return True

    def void(self, call_id: str, reason: str, signals: Signals | None = None) -> bool:
        """Provably not billed. Of what draws on no budget (a slot), nothing is kept."""
        reservation = self.page.load(call_id)
        if reservation is None or not self.book.void(reservation, reason, signals):
            return False
        if signals is not None and signals.status == TOO_MANY:
            self.page.telling.throttled(reservation, self.book.purses, signals.hold_seconds)
        if reservation.purses:
            self.page.touch(reservation)
        else:
            self.page.drop(reservation)
        return True

    def unconfirm(self, call_id: str, reason: str, signals: Signals | None = None) -> bool:
        """Nobody knows what it was billed. A slot cost nothing: it is given back."""
        reservation = self.page.load(call_id)
        if reservation is not None and not reservation.purses:
            return self.void(call_id, reason, signals)
        if reservation is None or not self.book.unconfirm(reservation, reason, signals):
            return False
        self.page.touch(reservation)
        self.page.telling.unconfirmed(reservation, reason)
        return True

    def reconcile(self, call_id: str, usage: Usage | None, audit: Audit) -> bool:
        """Resolve an unconfirmed call by evidence: settled at `usage`, or voided for None, with its
        audit row in the same transaction. False, and no row, for a call that is not unconfirmed.

        Raises CallRefused for a usage that cannot be.
        """
        if usage is not None and not _holds(usage):
            raise CallRefused(f"the usage is impossible: {usage}")
        reservation = self.page.reservation(call_id)
        if reservation is None or reservation.state != "unconfirmed":
            return False
        done = self.void(call_id, audit.reason) if usage is None else self.settle(call_id, usage)
        if done:
            self.rows.add_audit(audit)
        return done

    def expire(self, owner: str, reason: str, *, slots: bool = True) -> int:
        """An owner that is gone: its calls become unconfirmed, its slots are free, the rests of its
        allocations go back. Returns how many calls.

        Without `slots`, those that draw on no budget stay its own: nobody can end the work in them
        before another begins.
        """
        calls = self.rows.open_reservations(owner)
        self.foresee(calls)
        if not slots:
            known = ((each, self.page.reservation(each)) for each in calls)
            calls = [each for each, call in known if call is not None and call.purses]
        ended = sum(self.unconfirm(call_id, reason) for call_id in calls)
        for each in self.rows.allocations(owner=owner):
            # One that this batch has handed on is not the owner's any more.
            self.page.take_in(each)
            here = self.book.money.allocations[each.key]
            if here.owner == owner:
                self.give_back(each.key)
        self.rows.remove_owner(owner)
        return ended

    def throttle(self, limits: tuple[str, ...], seconds: float) -> None:
        """The provider said 429: nobody under these limits is admitted for that long."""
        # Also of what is no number; a day is as long as any limit's window.
        held = min(seconds, LONGEST_HOLD_SECONDS) if seconds > 0 else 0.0
        until = self.book.now + int(held * 1e9)
        for key in dict.fromkeys(limits):
            gate = self.page.gate(key)
            self.page.changed_gate(key)
            gate.throttled += 1
            gate.hold_until = max(gate.hold_until, until)

    def write(self) -> None:
        """Write back what the batch changed."""
        self.page.write()

    # Whose money

    def _allocation_of(self, demand: Demand) -> Allocation | None:
        """The allocation that a call draws on first.

        Raises LedgerUnavailable for one that the ledger does not know.
        """
        first = demand.accounts[0] if demand.accounts else ""
        if not is_allocation(first):
            return None
        found = self.page.allocation(first)
        if found is None:
            raise LedgerUnavailable(f"the ledger knows no allocation {first!r}; allocate it first")
        return found

    def _purses(self, demand: Demand, under: Allocation | None) -> list[Purse]:
        """The purses that a call draws on, leaf first, each once; under an allocation those that it
        was set aside in, in those very windows."""
        keys = dict.fromkeys(demand.accounts)
        if under is None:
            return [self.page.purse_now(key, demand) for key in keys]
        purses = [self.page.purse_now(under.key, demand)]
        purses += [self.book.purses[key] for key in under.within]
        drawn = {under.key, *(account for account, _ in under.within)}
        purses += [self.page.purse_now(key, demand) for key in keys if key not in drawn]
        return purses


def _holds(figures: Bound | Usage) -> bool:
    return (
        0 <= figures.nano <= MOST
        and 0 <= figures.input_tokens <= MOST
        and 0 <= figures.output_tokens <= MOST
    )
