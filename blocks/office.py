"""The desks of this process: one for each ledger, made when first asked for."""

import atexit
import os
import threading
from pathlib import Path

from prefect_governor.blocks.home import state_folder
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.records import Account, AccountState
from prefect_governor.blocks.ledger.sqlite import SQLiteStore

_desks: dict[Path, LedgerDesk] = {}
_lock = threading.Lock()
# What a forked child inherits and must neither use nor close: the parent's connections.
_inherited: list[LedgerDesk] = []


def desk() -> LedgerDesk:
    """The desk of this machine's ledger, under `PREFECT_HOME`.

    Raises LedgerUnavailable.
    """
    folder = state_folder()
    with _lock:
        if folder not in _desks:
            _desks[folder] = LedgerDesk(
                SQLiteStore(folder / "ledger.sqlite"), Owner(folder / "owners")
            )
        return _desks[folder]


def account_state(account: Account) -> AccountState:
    """An account's live figures; what was never used has spent nothing."""
    known = desk().store.read_purse(account.key)
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
    )


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
        if isinstance(each.process, Owner):
            each.process.forget()
    _desks.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
