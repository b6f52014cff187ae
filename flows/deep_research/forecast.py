"""What a research run would do and cost, before a call is made. Pure, but for asking a person."""

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.prices.prices import UsageParts, cost_usd
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.agent.tools import corpus_tools
from prefect_governor.flows.deep_research.plan.by_rule import plan_by_rule
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask, critical_path
from prefect_governor.flows.deep_research.request import Inquiry
from prefect_governor.flows.deep_research.worth import CALLS, expected_multiple, tokens_of
from prefect_governor.flows.estimate.asking import ASK_ABOVE_USD, confirm
from prefect_governor.flows.estimate.loops import (
    CALL_TOKENS,
    RESULT_TOKENS,
    SPREAD,
    likely_searches,
)

# An agent's prompt without its tools, in tokens; measured on the repository's own docs.
_PROMPT_TOKENS = 620
# Without a plan, a question is taken to fall apart into so many tasks.
_LIKELY_TASKS = 3
# How long one call takes where nothing says it, in seconds.
_CALL_SECONDS = 3.0


@dataclass(frozen=True)
class ResearchForecast:
    """A research run before it starts. `planned` is false where the lead makes the plan: `tasks`
    is then a guess. `searches` are those of the web, whose cost is in the costs; `notes` what it
    will have to do without."""

    model: str
    planned: bool
    tasks: int
    calls: int
    input_tokens: int
    output_tokens: int
    p50_usd: Decimal
    p95_usd: Decimal
    p50_seconds: float
    p95_seconds: float
    cost_multiple: float
    ceiling_usd: Decimal | None
    searches: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        for name in ("p50_usd", "p95_usd", "ceiling_usd"):
            found[name] = None if found[name] is None else float(found[name])
        return found


def forecast(inquiry: Inquiry) -> ResearchForecast:
    """From the plan where there is one, else from the plan that such a question mostly gets. An
    agent is told of its tools at each call.

    Raises ConfigurationError where a server of tools cannot be asked for them.
    """
    offline = is_offline(inquiry.model.name)
    plan = inquiry.plan or (plan_by_rule(inquiry.question) if offline else _likely(inquiry))
    calls = 0 if offline or inquiry.plan else 1
    inputs = calls * _PROMPT_TOKENS
    prompt = _PROMPT_TOKENS + (0 if offline else _tools_tokens(inquiry))
    for task in plan.tasks:
        turns = 1 if offline else CALLS[task.effort]
        calls += turns
        inputs += turns * prompt + RESULT_TOKENS * turns * (turns - 1) // 2
    if len(plan.tasks) > 1 and not offline:
        calls += 1
        inputs += _PROMPT_TOKENS + len(plan.tasks) * CALL_TOKENS
    outputs = calls * CALL_TOKENS
    price = inquiry.model.price_of(inquiry.model.name)
    assert price is not None, "an inquiry's model is priced"
    searches = 0
    cost = cost_usd(price, UsageParts(inputs, outputs))
    if inquiry.kit.searches:
        searches = sum(likely_searches(CALLS[task.effort]) for task in plan.tasks)
        cost += searches * inquiry.kit.search_usd
    seconds = (
        critical_path(
            plan.tasks, {task.id: CALLS[task.effort] * _CALL_SECONDS for task in plan.tasks}
        )
        + 2 * _CALL_SECONDS
    )
    return ResearchForecast(
        inquiry.model.name,
        inquiry.plan is not None,
        len(plan.tasks),
        calls,
        inputs,
        outputs,
        cost,
        cost * SPREAD,
        round(seconds, 1),
        round(seconds * SPREAD, 1),
        expected_multiple(inquiry, plan),
        inquiry.ceiling_usd,
        searches,
        inquiry.kit.without,
    )


def print_forecast(expected: ResearchForecast) -> None:
    """A line a figure, on stdout."""
    plan = "as the plan says" if expected.planned else "a guess: the lead makes the plan"
    print(f"model: {expected.model}")
    print(f"tasks: {expected.tasks} ({plan})")
    print(f"calls: about {expected.calls}")
    if expected.searches:
        print(f"searches: about {expected.searches}")
    print(f"tokens: about {expected.input_tokens:,} in and {expected.output_tokens:,} out")
    print(f"cost: about {_usd(expected.p50_usd)} (p50), {_usd(expected.p95_usd)} (p95)")
    print(f"time: about {expected.p50_seconds:.0f} s (p50), {expected.p95_seconds:.0f} s (p95)")
    print(f"cost multiple of one agent doing all of it: {expected.cost_multiple:.2f}")
    for note in expected.notes:
        print(f"note: {note}")


def may_start(expected: ResearchForecast, above: Decimal | None) -> bool:
    """Whether a run starts: one that may well cost more than `above` (default $5.00), and that its
    ceiling allows to, asks a person. Raises ConfigurationError where there is nobody to ask."""
    most = ASK_ABOVE_USD if above is None else above
    stake = expected.p95_usd
    if expected.ceiling_usd is not None:
        stake = min(stake, expected.ceiling_usd)
    if stake <= most:
        return True
    return confirm(
        f"about {expected.calls} calls of {expected.model} will cost about"
        f" {_usd(expected.p50_usd)}, up to {_usd(stake)}, more than {_usd(most)}.",
        stdin_is_read=False,
    )


def _tools_tokens(inquiry: Inquiry) -> int:
    """What an agent's tools take of each of its calls."""
    tools = {each["function"]["name"]: each for each in inquiry.kit.schemas}
    if inquiry.corpus:
        for tool in corpus_tools(Corpus([])):
            tools.setdefault(tool.name, tool.schema)
    return sum(tokens_of(inquiry.model.name, json.dumps(each)) for each in tools.values())


def _likely(inquiry: Inquiry) -> Plan:
    size = min(_LIKELY_TASKS, inquiry.max_tasks)
    return Plan(
        tasks=tuple(
            PlanTask(id=f"task-{at}", objective=inquiry.question, effort="comparison")
            for at in range(size)
        )
    )


def _usd(amount: Decimal) -> str:
    return show_usd(int(amount.scaleb(9).to_integral_value()))
