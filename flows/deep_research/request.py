"""What a research run was asked for, checked: nothing is started or spent yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.model import choose
from prefect_governor.blocks.money.usd import Money, parse_usd
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.agent.callables import imported
from prefect_governor.flows.agent.loop import Bounds
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.deep_research.plan.plan import (
    MOST_TASKS,
    Effort,
    Plan,
    check_plan,
    load_plan,
)
from prefect_governor.flows.deep_research.workspace import Files, corpus_files
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import resolve_sources
from prefect_governor.flows.report.model import check_min_success
from prefect_governor.flows.run.job import (
    Terms,
    check_accept,
    check_most_multiple,
    check_numbers,
    run_limit,
)
from prefect_governor.flows.tools.kit import Kit, ready_kit

# What a look at a question is worth, by its effort: a fact is 3 to 10 calls of one agent.
BOUNDS: dict[Effort, Bounds] = {
    "fact": Bounds(turns=6, tool_calls=10),
    "comparison": Bounds(turns=10, tool_calls=20),
    "investigation": Bounds(turns=16, tool_calls=40),
}
DEFAULT_MAX_TASKS = 20
DEFAULT_MAX_ROUNDS = 2

# An agent of the user's own: gets the task, its inputs by task id, and the governor's clients.
Agent = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Inquiry(Terms):
    """A question, its corpus, and how much it may take.

    `plan` is given, or made by the lead. `agent` stands in for ours. `max_tasks` bounds the plan
    with all that the lead adds; `max_rounds` how often the lead may change it, 0 for never. `kit`
    are the agents' tools beside those of the corpus, `files` the corpus's files as each of them has
    them in its workspace, where it has one. `skipped` is what the corpus's folders hold that is not
    in it.
    """

    question: str
    corpus: tuple[Item, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    plan: Plan | None = None
    kit: Kit = field(default_factory=lambda: Kit(()))
    files: Files = ()
    agent: Agent | None = None
    max_tasks: int = DEFAULT_MAX_TASKS
    max_rounds: int = DEFAULT_MAX_ROUNDS
    max_cost_multiple: float | None = None


def make_inquiry(
    question: str,
    *,
    plan: Any = None,
    corpus: Sequence[str] | None = None,
    folder: str | None = None,
    tools: Sequence[Any] = (),
    agent: Any = None,
    web: bool = False,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = "auto",
    search_usd: Money | None = None,
    mcp: Any = None,
    sandbox: str | None = None,
    governor: str | None = None,
    model: str = "auto",
    max_usd: Money | None = None,
    max_total_tokens: int | None = None,
    max_output_tokens: int | None = None,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    min_success: float = 0.0,
    max_tasks: int = DEFAULT_MAX_TASKS,
    max_rounds: int = DEFAULT_MAX_ROUNDS,
    max_cost_multiple: float | None = None,
    accept: Any = (),
) -> Inquiry:
    """Check everything that can be checked before anything starts. See `research`.

    Raises ConfigurationError.
    """
    if not question or not question.strip():
        raise ConfigurationError("the question is empty: say what is to be found out")
    check_numbers(
        max_total_tokens=max_total_tokens,
        max_output_tokens=max_output_tokens,
        max_concurrent=max_concurrent,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        timeout_seconds=timeout_seconds,
    )
    for name, value, least in (("max_tasks", max_tasks, 1), ("max_rounds", max_rounds, 0)):
        if isinstance(value, bool) or not least <= value <= MOST_TASKS:
            raise ConfigurationError(
                f"{name} must be from {least} to {MOST_TASKS:,}, not {value!r}"
            )
    check_most_multiple(max_cost_multiple)
    made = _plan(plan, folder)
    if made is not None and len(made.tasks) > max_tasks:
        max_tasks = len(made.tasks)
    base = Path(folder) if folder else Path.cwd()
    skipped: list[Skipped] = []
    kit = ready_kit(
        tools,
        sandbox=sandbox,
        mcp=mcp,
        folder=base,
        web=web,
        allow_hosts=allow_hosts,
        deny_hosts=deny_hosts,
        search=search,
        search_usd=search_usd,
    ) or Kit(())
    items = resolve_sources(list(corpus), cwd=base, skipped=skipped) if corpus else []
    chosen = choose(
        model,
        max_output_tokens=max_output_tokens,
        timeout_seconds=timeout_seconds,
        governor=governor,
    )
    return Inquiry(
        model=chosen,
        governor=governor,
        max_usd=None if max_usd is None else parse_usd(max_usd, name="max_usd"),
        max_total_tokens=max_total_tokens,
        limit=run_limit(
            governor,
            max_concurrent=max_concurrent,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        ),
        min_success=check_min_success(min_success),
        # As the flow run's parameters have it.
        question=scrubbed(storable(question.strip())),
        corpus=tuple(items),
        skipped=tuple(skipped),
        plan=made,
        kit=kit,
        files=_files(kit, corpus or (), items, base),
        agent=None if agent is None else imported(agent, "agent"),
        max_tasks=max_tasks,
        # The offline model is no lead.
        max_rounds=0 if is_offline(chosen.name) else max_rounds,
        max_cost_multiple=max_cost_multiple,
        accept=check_accept(accept),
    )


def check_tools_are_called(inquiry: Inquiry) -> None:
    """Raises ConfigurationError where the model would never call what it is given: the offline one
    calls no tools."""
    kit = inquiry.kit
    if is_offline(inquiry.model.name) and (kit.names or kit.web is not None or kit.mcp):
        raise ConfigurationError(
            f"{inquiry.model.name} calls no tools, neither programs nor the web nor those of"
            " servers: name a model, or set the key of one (OPENAI_API_KEY, ANTHROPIC_API_KEY, …)"
        )


def _files(kit: Kit, sources: Sequence[str], items: Sequence[Item], base: Path) -> Files:
    """What is put into each agent's workspace. Raises ConfigurationError where it does not fit, and
    where there are tools on files and no files."""
    if kit.runs_programs:
        return corpus_files(sources, items, base, kit.bounds)
    if kit.works_on_files and not items:
        raise ConfigurationError(
            "there are no files to read or search: name a corpus, or python or shell among the"
            " tools, which write some"
        )
    return ()


def _plan(plan: Any, folder: str | None) -> Plan | None:
    if plan is None:
        return None
    if isinstance(plan, Plan):
        # It may have been made without a check.
        return check_plan({"tasks": list(plan.tasks)})
    if isinstance(plan, (str, Path)):
        return load_plan((Path(folder) if folder else Path.cwd()) / plan)
    return check_plan(plan)
