"""What a store must do: keep rows, and hand them out under one lock. No arithmetic."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from prefect_governor.blocks.ledger.admission import Gate, Purse, Reservation
from prefect_governor.blocks.ledger.records import (
    Account,
    Attribution,
    LimitTerms,
    Reply,
    ReplyKey,
)


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, on both clocks: `boot` for rates and liveness, `wall` for budget windows, in ns."""

    boot: int
    wall: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Slots of a limit leased from Prefect. `usable_until` is on the boot's clock."""

    lease_id: str
    limit_key: str
    server_id: str
    slots: int
    usable_until: int


@dataclass(frozen=True, slots=True)
class Spend:
    """What a group of calls came to."""

    calls: int
    spent_nano: int
    unconfirmed_nano: int
    reserved_nano: int
    input_tokens: int
    output_tokens: int


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

    def terms(self, key: str) -> LimitTerms | None: ...

    def put_terms(self, terms: LimitTerms) -> None:
        """Write what a limit says; what is in flight under it stays, and what was taken under a
        rate of the same meter and window, whatever its amount."""

    def gate(self, key: str) -> Gate | None:
        """A limit with what is in flight and what is leased now."""

    def put_gate(self, gate: Gate) -> None: ...

    def put_server_limit(self, key: str, slots: int | None) -> None:
        """What Prefect's own limit says, None where it is not to be had."""

    def reservation(self, call_id: str) -> Reservation | None: ...

    def add_reservation(self, reservation: Reservation, owner: str, who: Attribution) -> None: ...

    def put_reservation(self, reservation: Reservation) -> None:
        """Write the state, the reason and the usage of a reservation."""

    def open_reservations(self, owner: str) -> list[str]:
        """Ids of the owner's calls that are in flight."""

    def owners(self) -> list[str]:
        """Every process that said it is there, and every one that has calls in flight."""

    def add_owner(self, owner: str, pid: int) -> None: ...

    def remove_owner(self, owner: str) -> None: ...

    def put_waiting(self, owner: str, waiting: Mapping[str, int]) -> None:
        """What a process has waiting, by limit; replaces what it said before."""

    def put_heads(self, owner: str, heads: Mapping[str, int]) -> None:
        """Since when a process's first call waits, by what is short; replaces what it said."""

    def heads(self, owner: str, heard_since: int) -> dict[str, int]:
        """For each thing that is short: since when the first call of another process waits. Only
        of those that said so since an instant."""

    def demand(self, limit_key: str) -> int:
        """Calls in flight and waiting under a limit, over all processes."""

    def leases(self, limit_key: str) -> list[Lease]: ...

    def put_lease(self, lease: Lease) -> None: ...

    def remove_lease(self, lease_id: str) -> None: ...

    def add_reply(self, reply: Reply) -> None: ...

    def put_item(self, run_id: str, key: str, input_hash: str, record: str) -> None: ...


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

    def read_items(self, run_id: str) -> dict[tuple[str, str], str]:
        """Records of a run's finished items by (key, input hash)."""

    def read_purse(self, account: str, label: str | None = None) -> tuple[Account, Purse] | None:
        """A budget's figures, in its latest window unless one is named."""

    def read_gate(self, key: str) -> Gate | None: ...

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

        Of all calls that were not released; of those that drew on `account`, in its window `label`,
        where they are given; of those admitted since an instant of the wall's clock.
        """

    def close(self) -> None: ...
