"""What a reconciliation came to, for people and for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prefect_governor.blocks.figures.reconcile import Left, Matching, Settle, Void
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.flows.cli.budget.formats import call_object, exact_json, state_object, usd
from prefect_governor.flows.cli.budget.text import (
    ID_LENGTH,
    count_calls,
    figures,
    table,
    unconfirmed_lines,
    who,
)
from prefect_governor.flows.cli.budget.view import View

# Of what was left alone, and of the steps, so many are printed; JSON has all.
_MOST = 20


@dataclass(frozen=True)
class Outcome:
    """What was unconfirmed, what was done about it, and the budget after it.

    Attributes:
        late: what somebody else resolved meanwhile.
        asked: something was to be resolved, by an export or by hand; else calls are only listed.
    """

    name: str
    before: tuple[CallRecord, ...]
    matching: Matching
    late: tuple[Left, ...]
    after: View
    dry_run: bool
    asked: bool

    @property
    def left(self) -> tuple[Left, ...]:
        """Everything that was left alone, with the reason."""
        return (*self.matching.left, *self.late)

    @property
    def settled(self) -> tuple[Settle, ...]:
        """Calls that have, or in a dry run would have, what they were billed."""
        late = {each.subject for each in self.late}
        return tuple(each for each in self.matching.settle if each.call.call_id not in late)

    @property
    def voided(self) -> tuple[Void, ...]:
        """Calls whose bound went, or in a dry run would go, back."""
        late = {each.subject for each in self.late}
        return tuple(each for each in self.matching.void if each.call.call_id not in late)

    @property
    def still(self) -> tuple[CallRecord, ...]:
        """Calls that stay unconfirmed."""
        done = {each.call.call_id for each in self.settled}
        done |= {each.call.call_id for each in self.voided}
        done |= {each.subject for each in self.late}
        return tuple(call for call in self.before if call.call_id not in done)


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """The outcome on stdout."""
    if as_json:
        print(exact_json(_object(outcome)))
        return
    for line in _lines(outcome):
        print(line)


def _lines(outcome: Outcome) -> Iterator[str]:
    if not outcome.before and not outcome.left:
        yield f"{outcome.name}: no call is unconfirmed"
        return
    held = sum(call.bound.nano for call in outcome.before)
    unconfirmed = count_calls(len(outcome.before))
    yield f"{outcome.name}: {unconfirmed} unconfirmed, charged at {show_usd(held)}"
    if not outcome.asked:
        yield from unconfirmed_lines(outcome.before)
        yield "resolve them by the provider's usage export, which names calls by their request id:"
        command = f"  prefect-governor budget reconcile {outcome.name}"
        yield f"{command} --from usage.csv --dry-run"
        yield "or one by hand:"
        first = outcome.before[0].call_id[:ID_LENGTH]
        yield f"{command} --call {first} --usd X --reason …"
        yield f"{command} --call {first} --void --reason …"
        return
    would = "would be " if outcome.dry_run else ""
    settled, voided = outcome.settled, outcome.voided
    paid, bound = (
        sum(each.usage.nano for each in settled),
        sum(each.call.bound.nano for each in settled),
    )
    calls = count_calls(len(settled))
    yield f"{would}settled: {calls} at {show_usd(paid)}, which held {show_usd(bound)}"
    yield from _steps(settled)
    back = sum(each.call.bound.nano for each in voided)
    yield f"{would}voided: {count_calls(len(voided))}, {show_usd(back)} goes back"
    yield from _steps(voided)
    if outcome.left:
        yield "left alone:"
        yield from (f"  {each.subject}: {each.why}" for each in outcome.left[:_MOST])
        if len(outcome.left) > _MOST:
            yield f"  ... and {len(outcome.left) - _MOST:,} more"
    if outcome.matching.foreign or outcome.matching.agree:
        yield (
            f"rows of other calls: {outcome.matching.foreign:,}; rows that agree with what was"
            f" charged already: {outcome.matching.agree:,}"
        )
    yield f"still unconfirmed: {count_calls(len(outcome.still))}"
    if not outcome.dry_run:
        yield "now:"
        for name, value in figures(outcome.after.chain[0].state):
            yield f"  {name:<12} {value}"


def _steps(steps: tuple[Settle, ...] | tuple[Void, ...]) -> Iterator[str]:
    if not steps:
        return
    rows = [("call", "at most", "billed", "for", "evidence")]
    for each in steps[:_MOST]:
        billed = show_usd(each.usage.nano) if isinstance(each, Settle) else "nothing"
        said = each.where if isinstance(each, Settle) else each.why
        if isinstance(each, Settle):
            said += ", by its tokens' price" if each.priced else ""
            said += ", ABOVE what was reserved" if each.above_bound else ""
        call = each.call
        rows.append((call.call_id[:ID_LENGTH], show_usd(call.bound.nano), billed, who(call), said))
    yield from table(rows, numbers=frozenset({1, 2}))
    if len(steps) > _MOST:
        yield f"  ... and {len(steps) - _MOST:,} more"


def _object(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "dry_run": outcome.dry_run,
        "settled": [
            {
                "call_id": each.call.call_id,
                "request_id": each.call.request_id,
                "bound_usd": usd(each.call.bound.nano),
                "usd": usd(each.usage.nano),
                "tokens": {
                    "input": each.usage.input_tokens,
                    "output": each.usage.output_tokens,
                },
                "evidence": each.where,
                "priced": each.priced,
                "above_bound": each.above_bound,
            }
            for each in outcome.settled
        ],
        "voided": [
            {
                "call_id": each.call.call_id,
                "request_id": each.call.request_id,
                "bound_usd": usd(each.call.bound.nano),
                "why": each.why,
            }
            for each in outcome.voided
        ],
        "left": [{"subject": each.subject, "why": each.why} for each in outcome.left],
        "rows": {"foreign": outcome.matching.foreign, "agree": outcome.matching.agree},
        "unconfirmed_calls": [call_object(call) for call in outcome.still],
        "budget": state_object(outcome.after.chain[0].state),
    }
