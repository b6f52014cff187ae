"""What the governors at work here hold, as OpenTelemetry's gauges are told of it."""

import os
import weakref
from typing import TYPE_CHECKING, Protocol

from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.telemetry.switch import look
from prefect_governor.blocks.terms.limit import GovernedLimit

if TYPE_CHECKING:
    from prefect_governor.blocks.telemetry.gauges import Readings


class Working(Protocol):
    """What is measured of a governor at work."""

    name: str
    desk: LedgerDesk
    accounts_: tuple[Account, ...]
    limits_: tuple[GovernedLimit, ...]

    @property
    def upstreams(self) -> tuple[str, ...]: ...


_at_work: "weakref.WeakValueDictionary[int, Working]" = weakref.WeakValueDictionary()
# What a process shows last is read when its work is over: one is kept until then.
_latest: Working | None = None


def measure(governor: Working) -> None:
    """It is at work here from now on, for as long as anybody holds it."""
    global _latest
    _at_work[id(governor)] = _latest = governor
    look(readings)


def readings() -> "Readings":
    """The budgets and limits of all that are at work, each once, in the windows that the ledger is
    in. Raises LedgerUnavailable."""
    from prefect_governor.blocks.telemetry.gauges import BudgetReading, LimitReading, Readings

    budgets: dict[str, BudgetReading] = {}
    limits: dict[str, LimitReading] = {}
    # A copy in one step: others are put to work meanwhile.
    held = [each() for each in _at_work.valuerefs()]
    for governor in (each for each in held if each is not None):
        store = governor.desk.store
        for account in governor.accounts_:
            found = None if account.key in budgets else store.read_purse(account.key)
            if found is None:
                continue
            applied, purse = found
            budgets[account.key] = BudgetReading(
                applied.name,
                applied.window,
                applied.ceiling_nano,
                purse.spent_nano,
                purse.unconfirmed_nano,
                purse.reserved_nano,
            )
        for key in (*(each.key for each in governor.limits_), *governor.upstreams):
            gate = store.read_gate(key)
            if gate is not None:
                limits[key] = LimitReading(key, governor.name, gate.name, gate.in_flight, gate.cap)
    return Readings(tuple(budgets.values()), tuple(limits.values()))


def _forget() -> None:
    global _latest
    _at_work.clear()
    _latest = None


# They are the parent's.
os.register_at_fork(after_in_child=_forget)
