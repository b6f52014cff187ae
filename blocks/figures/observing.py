"""What became of the calls of a run that were only observed (P10), in words for its report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.admission import (
    NOT_MEASURED,
    WOULD_BE_OVER,
    WOULD_WAIT,
)
from prefect_governor.blocks.records.calls import CallRecord, CallState
from prefect_governor.blocks.work.runtime import Runtime

_COUNTED: tuple[CallState, ...] = ("reserved", "spent", "unconfirmed")
# So many are listed in a line of a report, the most frequent first.
_MOST = 10


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Calls that passed without a price or a bound: of which model ("" where none is named), at
    which method and path, how many, and why the latest."""

    model: str
    path: str
    calls: int
    why: str

    def __str__(self) -> str:
        return f"{self.model or '(no model)'} at {self.path}: {self.calls:,}"


@dataclass(frozen=True, slots=True)
class Observed:
    """How many calls a run made, and what would have become of them."""

    calls: int = 0
    would_wait: int = 0
    would_be_over_budget: int = 0
    not_measured: tuple[NotMeasured, ...] = ()

    def __str__(self) -> str:
        return (
            f"of {self.calls:,} calls, {self.would_wait:,} would have waited and"
            f" {self.would_be_over_budget:,} would have been over budget"
        )


def not_measured(calls: Iterable[CallRecord]) -> tuple[NotMeasured, ...]:
    """Of these calls, in the order of their admission, those that were not measured: by model and
    path, the most frequent first."""
    counted: Counter[tuple[str, str]] = Counter()
    whys: dict[tuple[str, str], str] = {}
    for each in calls:
        if each.observed is None or not each.observed.startswith(NOT_MEASURED):
            continue
        path, _, why = each.observed.removeprefix(NOT_MEASURED).partition(": ")
        key = each.attribution.model or "", path
        counted[key] += 1
        whys[key] = why
    return tuple(
        NotMeasured(*key, count, whys[key])
        for key, count in sorted(counted.items(), key=lambda found: (-found[1], found[0]))
    )


def observed_of(runtime: Runtime, run: str | None) -> Observed:
    """The calls of a run that was observed, as `Attribution.run_id` or `flow_run_id` names it.

    Raises LedgerUnavailable.
    """
    account = runtime.accounts_[0].key if runtime.accounts_ else None
    calls = [
        each
        for each in runtime.desk.store.read_calls(_COUNTED, account=account)
        if run in (each.attribution.run_id, each.attribution.flow_run_id)
    ]
    # Nothing is said of a call that nothing would have held back.
    said = [each.observed or "" for each in calls]
    return Observed(
        len(calls),
        sum(each.startswith(WOULD_WAIT) for each in said),
        sum(each.startswith(WOULD_BE_OVER) for each in said),
        not_measured(calls),
    )


def enforcement_notes(runtime: Runtime, run: str | None) -> tuple[str, ...]:
    """The lines that stand in a run's report while enforcement is off; none while it is on."""
    if runtime.off is None:
        return ()
    seen = observed_of(runtime, run)
    notes = [runtime.off, f"observed only: {seen}"]
    if seen.not_measured:
        notes.append(_in_words(seen.not_measured))
    return tuple(notes)


def _in_words(found: tuple[NotMeasured, ...]) -> str:
    listed = "; ".join(map(str, found[:_MOST]))
    more = len(found) - _MOST
    total = sum(each.calls for each in found)
    return (
        f"not measured, for want of a price, a bound or a known path, so that {total:,}"
        f" call{'' if total == 1 else 's'} would have been refused: {listed}"
        f"{f'; and {more:,} more' if more > 0 else ''}"
    )
