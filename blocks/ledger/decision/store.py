"""What a store must do: keep rows, and hand them out under one lock. No arithmetic."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from prefect_governor.blocks.ledger.decision.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import (
    Attribution,
    CallRecord,
    CallState,
    Reply,
    ReplyKey,
)
from prefect_governor.blocks.records.chunks import Chunk
from prefect_governor.blocks.records.limits import LimitRecord
from prefect_governor.blocks.records.notices import Audit, Notice
from prefect_governor.blocks.records.sums import CallSum, EndedCall, LedgerSize, OldCall

# What `Lease.usable_until` says of one whose release the server was asked for. Where it knows the
# lease no more, it has done so.
ASKED_BACK = 2


@dataclass(frozen=True, slots=True)
class Lease:
    """Slots of a limit leased from Prefect. `usable_until` is on the boot's clock."""

    lease_id: str
    limit_key: str
    server_id: str
    slots: int
    usable_until: int


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """A process that spends. `renewed` is when it last said that it is there, on the boot's clock;
    0 for one that has calls in flight and no row."""

    owner: str
    pid: int
    renewed: int


@dataclass(frozen=True, slots=True)
class NewReservation:
    """A reservation to be written, with whose it is and for whom."""

    reservation: Reservation
    owner: str
    who: Attribution
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spend:
    """What a group of calls came to."""

    calls: int
    spent_nano: int
    unconfirmed_nano: int
    reserved_nano: int
    input_tokens: int
    output_tokens: int


NOTHING = Spend(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work, and what it came to: an item of a flow run, or a task where its calls have
    none."""

    flow: str | None
    flow_run_id: str | None
    name: str | None
    spend: Spend


class Rows(Protocol):
    """The rows of one transaction. Reads see what this transaction wrote."""

    now: Instant

    def account(self, key: str) -> tuple[Account, str | None] | None:
        """An account and the label of the latest window it was in."""

    def put_account(self, account: Account) -> None:
        """Write an account; its latest window stays."""

    def put_label(self, key: str, label: str) -> None:
        """Move an account's latest window on."""

    def purse(self, account: Account, label: str) -> Purse:
        """A budget's figures in a window; zeros where nothing was spent in it."""

    def put_purse(self, purse: Purse) -> None: ...

    def terms(self, key: str) -> LimitRecord | None: ...

    def put_terms(self, terms: LimitRecord) -> None:
        """Write what a limit says; what is in flight under it stays, and what was taken under a
        rate of the same meter and window, whatever its amount."""

    def gate(self, key: str) -> Gate | None:
        """A limit with what is in flight and what is leased now."""

    def put_gate(self, gate: Gate) -> None: ...

    def put_server_limit(self, key: str, slots: int | None) -> None:
        """What Prefect's own limit says, None where it is not to be had."""

    def reservations(self, call_ids: Iterable[str]) -> dict[str, Reservation]:
        """Those of the ids that the ledger knows, in one read."""

    def add_reservations(self, added: Iterable[NewReservation]) -> None: ...

    def put_reservations(self, changed: Iterable[Reservation]) -> None:
        """Write the state, the reason, what was observed and the usage of reservations."""

    def remove_reservations(self, call_ids: Iterable[str]) -> None:
        """Nothing is kept of these."""

    def open_reservations(self, owner: str) -> list[str]:
        """Ids of the owner's calls that are in flight."""

    def owners(self) -> list[OwnerRow]:
        """Every process that said it is there, and every one that has calls in flight."""

    def renew_owner(self, owner: str, pid: int) -> None:
        """The process is there now; a row is made where it has none."""

    def remove_owner(self, owner: str) -> None: ...

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        """What a process has waiting, by limit; replaces what it said before."""

    def put_heads(self, owner: str, heads: Mapping[str, Head]) -> None:
        """A process's first call, by what is short; replaces what it said before."""

    def heads(self, owner: str, heard_since: int) -> dict[str, list[Head]]:
        """For each thing that is short: the first call of each other process that waits for it.
        Only of those that said so since an instant."""

    def demand(self, limit_key: str) -> int:
        """Calls in flight and waiting under a limit, over all processes."""

    def leases(self, limit_key: str) -> list[Lease]: ...

    def put_lease(self, lease: Lease) -> None: ...

    def remove_lease(self, lease_id: str) -> None: ...

    def allocation(self, key: str) -> Allocation | None: ...

    def put_allocation(self, allocation: Allocation) -> None:
        """Write an allocation; its account is put by itself."""

    def allocations(
        self, *, group: str | None = None, owner: str | None = None
    ) -> list[Allocation]:
        """Open allocations of a group, or of a process; in the order of their keys."""

    def learned(self, model: str) -> Learned | None:
        """What settled calls of a model have taught."""

    def put_learned(self, learned: Learned) -> None: ...

    def mark(self, subject: str, window: str, name: str) -> int:
        """A number kept about an account's window, 0 where none was: what was told of it."""

    def put_mark(self, subject: str, window: str, name: str, value: int) -> None: ...

    def add_notice(self, notice: Notice) -> None: ...

    def notices(self, most: int) -> list[Notice]:
        """The oldest that were not told yet, with their ids."""

    def remove_notices(self, ids: Iterable[int]) -> None: ...

    def add_audit(self, audit: Audit) -> None: ...

    def add_reply(self, reply: Reply) -> None: ...

    def put_item(self, run_id: str, key: str, input_hash: str, record: str) -> None: ...

    def chunks(self, work: str) -> list[Chunk]:
        """The chunks of a piece of work that were claimed, by their numbers."""

    def put_chunk(self, chunk: Chunk) -> None: ...

    def remove_chunks(self, work: str) -> None:
        """All of a piece of work that has ended."""

    # What a ledger keeps of what is over. Nobody waits for these: they need wake nobody.

    def ended_calls(self, call_ids: Iterable[str]) -> list[EndedCall]:
        """Those of the calls that are spent or released, whole."""

    def add_sums(self, sums: Iterable[CallSum]) -> None:
        """Add each to the sum of its key; every read of spends counts both, calls and sums, so
        that what becomes of a call is in one of them at every instant."""

    def remove_replies(self, run_id: str, most: int) -> int:
        """Remove kept replies and finished items of a run, at most so many; returns how many."""


class Store(Protocol):
    """A ledger. Its methods may be called from any thread."""

    @property
    def ledger_id(self) -> str:
        """Told once, when the ledger is made."""

    def transaction(self) -> AbstractContextManager[Rows]:
        """All or nothing, under the one lock, durable when it ends.

        Raises LedgerUnavailable.
        """

    def changed(self) -> bool:
        """True once after somebody else wrote since the last transaction here, or may have: a cheap
        wake-up for whoever waits."""

    def read_reply(self, key: ReplyKey) -> Reply | None: ...

    def read_items(
        self, run_id: str, keys: Collection[str] | None = None
    ) -> dict[tuple[str, str], str]:
        """Records of a run's finished items by (key, input hash); of these keys, or of all."""

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        """A budget's figures, in its latest window unless one is named."""

    def read_gate(self, key: str) -> Gate | None: ...

    def read_upstreams(self) -> list[Gate]:
        """The providers' own limits, by their keys."""

    def read_learned(self, model: str) -> Learned | None: ...

    def read_calls(
        self,
        states: Iterable[CallState],
        *,
        account: str | None = None,
        label: str | None = None,
        since_wall: int | None = None,
        flow: str | None = None,
        observed: str | None = None,
        most: int | None = None,
    ) -> list[CallRecord]:
        """Calls in any of these states, oldest first: that drew on `account`, in its window
        `label`, admitted since an instant of the wall's clock, of a flow, of whose observation it
        is said what begins with `observed`, where these are given; the last `most` of them."""

    def read_allocations(self, account: str) -> list[tuple[Allocation, Account, Purse]]:
        """Open allocations set aside in an account, each with its own account and purse."""

    def read_audit(self, subject: str | None = None) -> list[Audit]:
        """All rows, or those of one call or account, oldest first."""

    def read_spend(
        self,
        column: str,
        where: Mapping[str, str],
        keys: Iterable[str] | None = None,
        *,
        account: str | None = None,
        label: str | None = None,
        since_wall: int | None = None,
    ) -> dict[str | None, Spend]:
        """Sums by an attribution column (`task_run_id`, `item`, `model`, …), or by `tag`: a call
        counts under each of its tags.

        Of all calls that were not released, slots left out; of those that drew on `account`, in its
        window `label`, where they are given; of those admitted since an instant of the wall's
        clock. Sums of calls (`Rows.add_sums`) count as their calls did, where they were admitted
        since the quarter of an hour in which that instant is; they stand under None where a run, an
        item or a task run is asked for, and in no condition on one.
        """

    def read_spend_over_time(self, starts: Sequence[int], *, account: str) -> list[Spend]:
        """Sums of what drew on an account, as `read_spend` has them, by when it was admitted: one
        for each of these instants of the wall's clock (ascending), up to the next; since the last.
        A sum of calls belongs to the quarter of an hour that it is of.
        """

    def read_dearest(
        self, most: int, *, account: str, label: str | None = None, since_wall: int | None = None
    ) -> list[Piece]:
        """The pieces of work that came to most, spent and unconfirmed together, dearest first; of
        what drew on `account`, in its window `label`, since an instant, where they are given. Of
        calls that are kept one by one."""

    def read_old(self, before_wall: int, after: OldCall | None, most: int) -> list[OldCall]:
        """Calls that are spent or released and were admitted before an instant of the wall's clock,
        oldest first, of one instant by their ids; those that come after `after`. Without those that
        a row of the audit names, and those that were observed and would have been held back: of
        these each is still shown."""

    def read_last_call(self, run_id: str) -> int:
        """When the latest call of a run was admitted, on the wall's clock; 0 where none is kept."""

    def read_has_replies(self, run_id: str) -> bool:
        """Whether replies or finished items of a run are kept, to go on with it."""

    def read_size(self) -> LedgerSize: ...

    def give_back_space(self, most_bytes: int) -> int:
        """Hand about so many bytes that are free in the ledger back to its disk; returns how many
        it were. 0 where there are none, or where the store does so by itself or cannot."""

    def close(self) -> None: ...
