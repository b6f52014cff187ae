"""What past runs of the same flow and model cost, from the ledger."""

import hashlib
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.flows.run.job import Request

FLOW = "fan-out"
# The latest calls are looked at, and of the runs that asked the same the latest.
MOST_CALLS = 20_000
MOST_RUNS = 10
# Two messages and a request, as `work` counts them beside the texts.
_BESIDE = 11
_NANO = 10**9


@dataclass(frozen=True, slots=True)
class History:
    """What past calls were like. Tokens are of one answer, seconds of one call.

    Attributes:
        runs: how many runs it is taken from.
        calls: how many calls.
        same: they asked the same question of the same model, answers as long at the most.
        output_mean: tokens of an answer.
        output_deviation: how far single answers are from it.
        output_between: how far the means of whole runs are from it; 0 where there is one run.
        input_share: what was billed of the bounds of their input.
        cached_share: what of the input was read from the provider's cache.
        seconds_mean: from a call's admission to its settle.
        seconds_high: what 19 of 20 calls are under.
        calls_an_item: so many calls were one item's, on average.
    """

    runs: int
    calls: int
    same: bool
    output_mean: float
    output_deviation: float
    output_between: float
    input_share: float
    cached_share: float
    seconds_mean: float
    seconds_high: float
    calls_an_item: float = 1.0


def question_key(request: Request) -> str:
    """Names what is asked: runs of one key differ in their items and limits alone."""
    model = request.model
    asked = [
        request.ask,
        request.shape.schema if request.shape else None,
        list(model.names),
        model.max_output_tokens,
    ]
    if request.kit is not None:
        asked.append(request.kit.answered_from)
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"asked/{digest[:32]}"


def read_history(store: Store, request: Request) -> History | None:
    """What past runs tell: those that asked the same, else those of this flow and model; None
    where there are none. Raises LedgerUnavailable."""
    model = request.model
    calls = [
        call
        for call in store.read_calls(["spent"], flow=FLOW, most=MOST_CALLS)
        if call.usage is not None and _is_of(call, model.name)
    ]
    if not calls:
        return None
    asked = {run for run, _ in store.read_items(question_key(request))}
    same = [call for call in calls if call.attribution.run_id in asked]
    if same:
        return summed_up(_latest(same), same=True)
    alike = [call for call in calls if call.bound.output_tokens == model.max_output_tokens]
    return summed_up(_latest(alike or calls), same=False)


def read_learned(store: Store, request: Request) -> Learned | None:
    """What is known of how the provider counts the model's input."""
    name = request.model.name
    for each in (name, name.partition("/")[2]):
        learned = store.read_learned(each) if each else None
        if learned is not None and learned.calls:
            return learned
    return None


def counting_ratio(learned: Learned) -> float:
    """Input tokens billed for each that is counted here, beside what every call has."""
    counted = max(1, learned.local_input_tokens)
    return max(0.0, learned.billed_input_tokens - _BESIDE * learned.calls) / counted


def summed_up(calls: Sequence[CallRecord], *, same: bool) -> History:
    """The figures of calls that were billed. Pure. Raises ValueError for none."""
    billed = [(call, call.usage) for call in calls if call.usage is not None]
    outputs = [usage.output_tokens for _, usage in billed]
    by_run: dict[str | None, list[int]] = {}
    for call, usage in billed:
        by_run.setdefault(call.attribution.run_id, []).append(usage.output_tokens)
    means = [statistics.fmean(each) for each in by_run.values()]
    seconds = sorted(
        (call.resolved_wall - call.created_wall) / _NANO
        for call, _ in billed
        if call.resolved_wall is not None and call.resolved_wall > call.created_wall
    )
    items = {(call.attribution.run_id, call.attribution.item) for call, _ in billed}
    inputs = sum(usage.input_tokens for _, usage in billed)
    bounds = sum(call.bound.input_tokens for call, _ in billed)
    cached = sum(usage.cached_input_tokens for _, usage in billed)
    return History(
        runs=len(by_run),
        calls=len(billed),
        calls_an_item=len(billed) / max(1, len(items)),
        same=same,
        output_mean=statistics.fmean(outputs),
        output_deviation=statistics.pstdev(outputs),
        output_between=statistics.stdev(means) if len(means) > 1 else 0.0,
        input_share=inputs / bounds if bounds else 1.0,
        cached_share=cached / inputs if inputs else 0.0,
        seconds_mean=statistics.fmean(seconds) if seconds else 0.0,
        seconds_high=_high(seconds),
    )


def _high(ascending: Sequence[float]) -> float:
    return ascending[min(len(ascending) - 1, len(ascending) * 19 // 20)] if ascending else 0.0


def _latest(calls: Iterable[CallRecord]) -> list[CallRecord]:
    """The calls of the latest runs; they come oldest first."""
    ordered = list(calls)
    runs = list(dict.fromkeys(call.attribution.run_id for call in reversed(ordered)))[:MOST_RUNS]
    kept = set(runs)
    return [call for call in ordered if call.attribution.run_id in kept]


def _is_of(call: CallRecord, model: str) -> bool:
    """Whether a call is of a model, named with its provider or without."""
    known = call.attribution.model or ""
    return known == model or known.rpartition("/")[2] == model.rpartition("/")[2]
