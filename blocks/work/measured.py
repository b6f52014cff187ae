"""What the governors at work here hold, as OpenTelemetry's gauges are told of it."""

from collections.abc import Iterable

from prefect_governor.blocks.telemetry.gauges import BudgetReading, LimitReading, Readings
from prefect_governor.blocks.work.runtime import Runtime


def readings(runtimes: Iterable[Runtime]) -> Readings:
    """Their budgets and limits, each once, in the windows that the ledger is in. A run's own
    ceiling is none of them. Raises LedgerUnavailable."""
    budgets: dict[str, BudgetReading] = {}
    limits: dict[str, LimitReading] = {}
    for runtime in runtimes:
        store = runtime.desk.store
        for account in runtime.accounts_:
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
        for key in (*(each.key for each in runtime.limits_), *runtime.upstreams):
            gate = store.read_gate(key)
            if gate is not None:
                limits[key] = LimitReading(key, runtime.name, gate.name, gate.in_flight, gate.cap)
    return Readings(tuple(budgets.values()), tuple(limits.values()))
