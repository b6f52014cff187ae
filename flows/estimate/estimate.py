"""What a run would do, cost and take, from its real inputs, without a call.

The calls are those that the run will make (its texts read, split and counted as it will), the
prices those that it will be billed at; answers and latencies are taken from past runs of the same
flow, or from priors that `estimate.answers` and `estimating.pace` give the source of. The
arithmetic is in `estimate.spread` (money) and `estimating.pace` (time), and pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.prices.prices import Price, UsageParts, cost_usd
from prefect_governor.blocks.prices.tokens import encoding_of
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.estimate.answers import AnswerLengths, answer_lengths
from prefect_governor.flows.estimate.covering import at_stake_usd, items_over_budget
from prefect_governor.flows.estimate.history import History, read_history, read_learned
from prefect_governor.flows.estimate.loops import LIKELY_CALLS, likely_searches
from prefect_governor.flows.estimate.pace import (
    SLOWER,
    Left,
    Load,
    Throughput,
    bottleneck,
    prior_seconds,
    run_seconds,
    throughputs,
)
from prefect_governor.flows.estimate.spread import (
    DRIFT,
    Expected,
    Spread,
    bound_of,
    cost_of,
    spread,
    tokens_of,
)
from prefect_governor.flows.estimate.standing import Standing
from prefect_governor.flows.estimate.work import (
    Work,
    loops,
    most_searches_usd,
    plan_work,
    prompt_tokens,
    searches_usd,
)
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.run.job import Request
from prefect_governor.flows.subagent.working import BOUNDS

__all__ = ["Forecast", "cost_multiple", "forecast", "prompt_tokens"]

WIDE = "no past run of this: a wide guess"


@dataclass(frozen=True)
class Forecast:
    """A run before it starts.

    Attributes:
        model: its name.
        items: how many can be read.
        calls: the first call of every item, of every part of those that are split, and those that
            combine the parts; a repair or a retry is one more.
        input_tokens: as they will probably be billed.
        output_tokens: the most that the answers can have.
        expected_output_tokens: as long as answers probably are.
        p50_usd, p95_usd: half of such runs cost no more than the first, 19 of 20 no more than the
            second.
        p50_seconds, p95_seconds: of the wall-clock, from the flow's start to its end.
        max_usd: the most that these calls can cost.
        ceiling_usd: the run's own ceiling, if it has one.
        left: what is left of its budgets, the run's own first.
        over_budget: how many items those do not pay for at p50.
        cost_multiple: of one agent that reads all of it in one go, with answers of usual length.
        throughputs: what each limit and budget allows, the slowest first.
        runs, past_calls: how many past runs and calls it is based on.
        wide: nothing rules out that the bill is above p95 or far from p50.
        assumptions: what it takes for granted, a sentence each.
        unreadable: the items that would fail, with the reason.
        notes: how tables were read, what the run will have to do without, and what is odd about
            its schema.
        skipped: what the sources hold that is no item, by name, with the reason.
    """

    model: str
    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    expected_output_tokens: int
    p50_usd: Decimal
    p95_usd: Decimal
    p50_seconds: float
    p95_seconds: float
    max_usd: Decimal
    ceiling_usd: Decimal | None
    left: tuple[Left, ...]
    over_budget: int
    cost_multiple: float
    throughputs: tuple[Throughput, ...]
    runs: int
    past_calls: int
    wide: bool
    assumptions: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def bottleneck(self) -> Throughput | None:
        """What holds the run back longest; None where nothing does."""
        return bottleneck(self.throughputs)

    @property
    def at_stake_usd(self) -> Decimal:
        """What the run may well cost: p95, and no more than its budgets leave."""
        return at_stake_usd(self.p95_usd, self.left)

    def to_json(self) -> dict[str, Any]:
        """One object; money in USD, times in seconds."""
        held = self.bottleneck
        return {
            "model": self.model,
            "items": self.items,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "expected_output_tokens": self.expected_output_tokens,
            "p50_usd": float(self.p50_usd),
            "p95_usd": float(self.p95_usd),
            "p50_seconds": self.p50_seconds,
            "p95_seconds": self.p95_seconds,
            "max_usd": float(self.max_usd),
            "ceiling_usd": None if self.ceiling_usd is None else float(self.ceiling_usd),
            "over_budget_items": self.over_budget,
            "cost_multiple": self.cost_multiple,
            "bottleneck": None if held is None else held.name,
            "throughputs": [
                {
                    "name": each.name,
                    "calls_per_second": round(each.calls_per_second, 4),
                    "holds_back": each.holds,
                    "why": each.why,
                }
                for each in self.throughputs
            ],
            "based_on": {"runs": self.runs, "calls": self.past_calls},
            "wide": self.wide,
            "assumptions": list(self.assumptions),
            "unreadable": [{"key": key, "reason": reason} for key, reason in self.unreadable],
            "skipped": [each.model_dump() for each in self.skipped],
            "notes": list(self.notes),
        }


def forecast(request: Request, standing: Standing) -> Forecast:
    """Read every item, and what the ledger knows of past runs; call nothing.

    Raises LedgerUnavailable.
    """
    store = standing.store
    history = None if store is None else read_history(store, request)
    learned = None if store is None else read_learned(store, request)
    price = request.model.price_of(request.model.name)
    assert price is not None, "a request's model is priced"
    work = plan_work(request, loop_calls=_loop_calls(history))
    limit = request.model.max_output_tokens
    lengths = answer_lengths(request.shape.schema if request.shape else None, limit=limit)
    calls = work.likely.calls
    costs = spread(
        calls,
        price,
        lengths,
        history=history,
        learned=learned,
        known_tokenizer=encoding_of(request.model.name) is not None,
    )
    if loops(request):
        costs = _with_searches(_with_loops(costs, work, price, history), request, work)
    bound = bound_of(work.most.calls, price, output_tokens=limit)
    loads = [
        _load(request, work, level, history, bound, high=high)
        for level, high in ((costs.p50, False), (costs.p95, True))
    ]
    found = [throughputs(load, standing.limits, standing.left) for load in loads]
    p50, p95 = (
        run_seconds(load, each, busy=busy)
        for load, each, busy in zip(loads, found, (False, True), strict=True)
    )
    tokens, usual = (tokens_of(calls, each) for each in (costs.p50, costs.usual))
    return Forecast(
        model=request.model.name,
        items=work.items,
        calls=calls.total(),
        input_tokens=tokens.input,
        output_tokens=work.most.calls.total() * limit,
        expected_output_tokens=tokens.output,
        p50_usd=costs.p50_usd,
        p95_usd=costs.p95_usd,
        p50_seconds=round(p50, 2),
        p95_seconds=round(max(p50, p95), 2),
        max_usd=max(to_usd(bound) + work.items * most_searches_usd(request), costs.p95_usd),
        ceiling_usd=request.ceiling_usd,
        left=standing.left,
        over_budget=items_over_budget(
            work.items,
            usd=costs.p50_usd,
            tokens=tokens.input + tokens.output,
            left=standing.left,
        ),
        cost_multiple=cost_multiple(
            price,
            input_tokens=usual.input,
            output_tokens=usual.output,
            calls=calls.total(),
            prompt_tokens=work.prompt_tokens,
        ),
        throughputs=tuple(found[0]),
        runs=0 if history is None else history.runs,
        past_calls=0 if history is None else history.calls,
        wide=costs.wide,
        assumptions=(
            *_assumptions(costs, lengths, history, in_loops=loops(request)),
            *(_of_loops(request, work) if loops(request) else ()),
        ),
        unreadable=work.unreadable,
        notes=(
            *request.said,
            *(() if request.shape is None else request.shape.notes),
            *(() if request.kit is None else request.kit.without),
        ),
        skipped=request.skipped,
    )


def cost_multiple(
    price: Price, *, input_tokens: int, output_tokens: int, calls: int, prompt_tokens: int
) -> float:
    """A run's cost as a multiple of one agent's that reads all of it in one go.

    That agent reads every document once, is told the question once, and writes the same answers:
    the prompt's tokens of all calls but one are what the fan-out pays more. 1.0 for no cost.
    """
    alone = max(0, input_tokens - max(0, calls - 1) * prompt_tokens)
    together = cost_usd(price, UsageParts(input_tokens, output_tokens))
    single = cost_usd(price, UsageParts(alone, output_tokens))
    return round(float(together / single), 3) if single else 1.0


def _load(
    request: Request,
    work: Work,
    level: Expected,
    history: History | None,
    bound_nano: int,
    *,
    high: bool,
) -> Load:
    planned = work.high if high else work.likely
    tokens = tokens_of(planned.calls, level)
    if history is not None and history.seconds_mean:
        mean = history.seconds_mean * (1 + 2 * DRIFT if high else 1)
        slowest = max(mean, history.seconds_high)
    else:
        mean = prior_seconds(level.output_tokens, offline=is_offline(request.model.name))
        mean *= SLOWER if high else 1
        slowest = mean
    limit = request.model.max_output_tokens
    return Load(
        items=work.items,
        calls=planned.calls.total(),
        chain=planned.longest,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        seconds=mean,
        slowest=slowest,
        bound_nano=bound_nano,
        bound_tokens=sum(
            count * (call.bound_tokens + limit) for call, count in planned.calls.items()
        ),
    )


def _loop_calls(history: History | None) -> int:
    """The calls of an item with tools: as many as in past runs that asked the same."""
    if history is None or not history.same:
        return LIKELY_CALLS
    return max(1, min(BOUNDS.turns, round(history.calls_an_item)))


def _with_loops(costs: Spread, work: Work, price: Price, history: History | None) -> Spread:
    """p95 where agents look for longer than they mostly do. How long they do nobody knows before a
    run has asked the same."""
    high = cost_of(work.high.calls, price, costs.p50)
    return replace(
        costs,
        p95_usd=max(costs.p95_usd, high),
        wide=costs.wide or history is None or not history.same,
    )


def _with_searches(costs: Spread, request: Request, work: Work) -> Spread:
    """With what searches of the web cost, where they cost anything."""
    p50, p95 = (
        sum(
            (
                count * searches_usd(request, likely_searches(calls))
                for calls, count in each.lengths.items()
            ),
            Decimal(0),
        )
        for each in (work.likely, work.high)
    )
    return replace(costs, p50_usd=costs.p50_usd + p50, p95_usd=costs.p95_usd + p95)


def _of_loops(request: Request, work: Work) -> Iterator[str]:
    each = work.likely.calls.total() / work.items if work.items else 0
    yield (
        f"tools: about {each:,.0f} calls an item, at most {BOUNDS.turns + 1} a reading of it; what"
        " the tools take themselves is not in the time"
    )
    if most_searches_usd(request):
        yield (
            f"searches of the web: about {likely_searches(round(each))} an item, at most"
            f" {BOUNDS.tool_calls}, in the cost"
        )


def _assumptions(
    costs: Spread, lengths: AnswerLengths, history: History | None, *, in_loops: bool
) -> tuple[str, ...]:
    """What the figures rest on, a sentence each; the first says what they are taken from."""
    answers = f"answers of about {costs.p50.output_tokens:,.0f} tokens"
    if history is not None and history.same:
        found = [f"{_past(history)} that asked the same: {answers}"]
        found.append("p95: a tenth for drift and one for retries, and what single answers differ")
    else:
        found = [f"{WIDE}, of {answers}" if costs.wide else f"no past run of this; {answers}"]
        if history is not None:
            found.append(f"{_past(history)} asked otherwise")
        if costs.wide:
            most = "twice as many calls an item" if in_loops else "twice p50 at the most"
            found.append(f"p95: {most}; a first run narrows it")
        else:
            found.append(
                f"p95: every answer of {lengths.most:,} tokens, input counted half as much again"
            )
    found.append("p50: no repairs, no retries, no fallbacks")
    return tuple(found)


def _past(history: History) -> str:
    runs = "1 past run" if history.runs == 1 else f"{history.runs:,} past runs"
    return f"{runs} ({history.calls:,} calls)"
