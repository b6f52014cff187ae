"""The desks of this process: one for each ledger, made when first asked for."""

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect_governor.blocks.draws.store import DrawnStore
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.records.budgets import PREFECT_API, Account, AccountState

# The ledger of every governor that names none itself.
LEDGER_URL = "PREFECT_GOVERNOR_LEDGER_URL"

# This machine's, in the folder of its state.
LEDGER_FILE = "ledger.sqlite"

_desks: dict[Path | str, LedgerDesk] = {}
_lock = threading.Lock()
# What a forked child inherits and must neither use nor close: the parent's connections.
_inherited: list[LedgerDesk] = []


def desk(url: str | None = None) -> LedgerDesk:
    """The desk of a ledger: of the PostgreSQL database at `url`, or for "prefect-api" of the one
    here whose money is drawn; by default of the one that PREFECT_GOVERNOR_LEDGER_URL names, else of
    this machine's own under `PREFECT_HOME`.

    Raises LedgerUnavailable.
    """
    where = _where(url)
    with _lock:
        if where not in _desks:
            _desks[where] = _on_file(url) if isinstance(where, Path) else _on_postgres(where)
        return _desks[where]


def drawn_store(desk: LedgerDesk) -> DrawnStore | None:
    """The store of a desk whose money is drawn on Prefect's API; None for any other."""
    store = desk.store
    return store if isinstance(store, DrawnStore) else None


def ledger_of_desk(desk: LedgerDesk) -> str:
    """What machines that share a ledger know it by."""
    return known_by(desk.store)


def known_by(store: Store) -> str:
    """What machines that share a ledger know it by: its id, or what theirs have in common."""
    return store.shared_id if isinstance(store, DrawnStore) else store.ledger_id


def home_of(url: str | None = None) -> str:
    """Where `desk(url)`'s ledger is, for people: its folder, or its database without a password."""
    where = _where(url)
    if named(url) == PREFECT_API:
        return f"Prefect's API ({where})"
    if isinstance(where, Path):
        return str(where)
    parts = urlsplit(where)
    port = ""
    with suppress(ValueError):
        port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{parts.hostname or 'localhost'}{port}{parts.path}"


def close(folder: Path) -> None:
    """Close the desk of the ledger in a folder, where it was opened. Whoever has it is refused
    afterwards: governors that spend there are put out of work first."""
    with _lock:
        found = _desks.pop(folder, None)
    if found is not None:
        found.close()


def desk_of_ledger(ledger_id: str) -> LedgerDesk | None:
    """The desk here of the ledger with an id; None where none was opened yet."""
    with _lock:
        return next((each for each in _desks.values() if ledger_of_desk(each) == ledger_id), None)


def account_state(account: Account, *, at: LedgerDesk | None = None) -> AccountState:
    """An account's live figures in its ledger, by default this machine's; what was never used has
    spent nothing."""
    known = (at or desk()).store.read_purse(account.key)
    if known is None:
        return AccountState(
            account.key, account.name, "", account.ceiling_nano, account.ceiling_tokens
        )
    applied, purse = known
    return AccountState(
        account.key,
        applied.name,
        purse.label,
        purse.ceiling_nano,
        purse.ceiling_tokens,
        purse.spent_nano,
        purse.unconfirmed_nano,
        purse.reserved_nano,
        purse.spent_tokens,
        purse.unconfirmed_tokens,
        purse.reserved_tokens,
        purse.allocated_nano,
        purse.allocated_tokens,
        *purse.elsewhere(),
    )


def named(url: str | None) -> str | None:
    """What `desk(url)` is on, as a governor or the environment names it; None for this machine's
    own ledger. Raises ConfigurationError."""
    found = os.environ.get(LEDGER_URL)
    if not url and found == PREFECT_API:
        raise ConfigurationError(
            f"{LEDGER_URL} is {PREFECT_API!r}: that is said in the Governor block (ledger_url), so"
            " that all machines have the same; the variable names a PostgreSQL"
        )
    return url or found or None


def postgres_url(url: str | None) -> str | None:
    """The database that `desk(url)` is on; None where it is on a ledger of this machine."""
    found = named(url)
    return None if found == PREFECT_API else found


def ledger_file(url: str | None = None) -> Path:
    """The file of `desk(url)`, which is on this machine."""
    return _folder(url) / LEDGER_FILE


def is_made(url: str | None = None) -> bool:
    """Whether the ledger of `desk(url)` is there, which the first call would make; of one on
    PostgreSQL it is not asked."""
    return postgres_url(url) is not None or ledger_file(url).exists()


def open_file(url: str | None) -> SQLiteStore:
    """The ledger of this machine that `desk(url)` is on. Raises LedgerUnavailable."""
    kind = DrawnStore if named(url) == PREFECT_API else SQLiteStore
    return kind(ledger_file(url))


def _folder(url: str | None) -> Path:
    """Two ledgers: what is drawn, and what need not be, are not one account."""
    own = state_folder()
    return own / PREFECT_API if named(url) == PREFECT_API else own


def open_store(url: str | None = None) -> Store | None:
    """The ledger of `desk(url)` by itself, for who does not spend in it: of a process without a
    desk nobody takes the calls. None where a first call would make it. Whoever opens it closes it.

    One on PostgreSQL whose database is empty is given its tables.

    Raises ConfigurationError, LedgerUnavailable.
    """
    where = _where(url)
    if isinstance(where, Path):
        return open_file(url) if is_made(url) else None
    from prefect_governor.blocks.ledger.postgres.store import PostgresStore

    return PostgresStore(where)


def _where(url: str | None) -> Path | str:
    return postgres_url(url) or _folder(url)


def _on_file(url: str | None) -> LedgerDesk:
    return LedgerDesk(open_file(url), Owner(_folder(url) / "owners"))


def _on_postgres(url: str) -> LedgerDesk:
    # Its driver is an extra, which a ledger in a file does without.
    from prefect_governor.blocks.ledger.postgres.owner import PostgresOwner
    from prefect_governor.blocks.ledger.postgres.store import PostgresStore

    store = PostgresStore(url)
    return LedgerDesk(store, PostgresOwner(url), now=store.now)


def clock_of(desk: LedgerDesk) -> Callable[[], Instant]:
    """The clock of a desk's ledger: leases and rates are compared by it."""
    clock: Callable[[], Instant] = getattr(desk.store, "now", machine_now)
    return clock


def _close_all() -> None:
    for each in _desks.values():
        each.close()
    _desks.clear()


def _after_fork() -> None:
    """A child spends as itself: its own connection, its own lock, its own thread."""
    global _lock
    _lock = threading.Lock()
    for each in _desks.values():
        _inherited.append(each)
        forget: Any = getattr(each.process, "forget", None)
        if forget is not None:
            forget()
    _desks.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
