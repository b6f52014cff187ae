"""What became of the calls of a run that were only observed (P10), in words for its report."""

from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.admission import WOULD_BE_OVER, WOULD_WAIT
from prefect_governor.blocks.records.calls import CallState
from prefect_governor.blocks.work.runtime import Runtime

_COUNTED: tuple[CallState, ...] = ("reserved", "spent", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Observed:
    """How many calls a run made, and what would have become of them."""

    calls: int = 0
    would_wait: int = 0
    would_be_over_budget: int = 0

    def __str__(self) -> str:
        return (
            f"of {self.calls:,} calls, {self.would_wait:,} would have waited and"
            f" {self.would_be_over_budget:,} would have been over budget"
        )


def observed_of(runtime: Runtime, run: str | None) -> Observed:
    """The calls of a run that was observed, as `Attribution.run_id` or `flow_run_id` names it.

    Raises LedgerUnavailable.
    """
    calls = waits = over = 0
    account = runtime.accounts_[0].key if runtime.accounts_ else None
    for each in runtime.desk.store.read_calls(_COUNTED, account=account):
        who = each.attribution
        if run not in (who.run_id, who.flow_run_id):
            continue
        calls += 1
        # Nothing is said of a call that nothing would have held back.
        observed = each.observed or ""
        waits += observed.startswith(WOULD_WAIT)
        over += observed.startswith(WOULD_BE_OVER)
    return Observed(calls, waits, over)


def enforcement_notes(runtime: Runtime, run: str | None) -> tuple[str, ...]:
    """The lines that stand in a run's report while enforcement is off; none while it is on."""
    if runtime.off is None:
        return ()
    return (runtime.off, f"observed only: {observed_of(runtime, run)}")
