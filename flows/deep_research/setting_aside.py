"""Money that is set aside before the first sub-agent spends: the synthesis's, and that of each task
which has a `max_usd`."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from graphlib import TopologicalSorter

from prefect_governor.blocks.claims.drawing import once_drawn
from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.money.usd import to_nano
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.prices.prices import bound_cost
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.plan.plan import Plan
from prefect_governor.flows.deep_research.study import SYNTHESIS, Study

# Tokens of the question, the objectives and what surrounds the findings, for each task.
_AROUND_TOKENS = 200


@contextmanager
def set_aside(study: Study, plan: Plan) -> Iterator[str | None]:
    """Set money aside in `study.allocations`; what is left of it goes back.

    A run that goes on finds what its earlier attempt left of each task's, and needs nothing for
    those that it has finished. Yields None, or why the money is not there.
    """
    wanted: dict[str, Bound] = {}
    if len(plan.tasks) > 1 and not is_offline(study.inquiry.model.name):
        wanted[SYNTHESIS] = _bound_of_synthesis(study, plan)
    finished = _finished(study, plan)
    for task in plan.tasks:
        if task.max_usd is not None and task.id not in finished:
            wanted[task.id] = Bound(to_nano(task.max_usd), 0, 0)
    refused = None
    with ExitStack() as taken:
        for name, bound in wanted.items():
            try:
                _allocate(study, name, bound)
            except OverBudget as error:
                whose = "the closing synthesis" if name == SYNTHESIS else f"task {name!r}"
                refused = f"there is no money for {whose}: {error}"
                break
            taken.callback(study.give_back, name)
        yield refused


def _finished(study: Study, plan: Plan) -> dict[str, Finding]:
    """What an earlier attempt found, of tasks that will find the same from what they depend on."""
    tasks = {task.id: task for task in plan.tasks}
    found: dict[str, Finding] = {}
    for name in TopologicalSorter({each.id: each.depends_on for each in plan.tasks}).static_order():
        task = tasks[name]
        inputs = {each: found[each] for each in task.depends_on if each in found}
        finding = study.kept_finding(name, study.input_hash(task, inputs))
        if finding is not None:
            found[name] = finding
    return found


def _allocate(study: Study, name: str, bound: Bound) -> None:
    desk = study.runtime.desk
    # A task's is the run's: going on gives it no second. The synthesis's is whole each time.
    label, key = name, f"{study.kept_as}/{name}"
    if name == SYNTHESIS:
        label, key = "synthesis", uuid.uuid4().hex
    allocation = Allocation(
        key=f"{ALLOCATION_PREFIX}{key}",
        label=label,
        within=tuple((each.key, _window(each, study.kept_as)) for each in study.runtime.accounts_),
        group=study.kept_as,
        owner=desk.process.id,
    )
    once_drawn(lambda: desk.allocate(allocation, label, bound))
    study.allocations[name] = allocation.key


def _window(account: Account, run_id: str) -> str:
    """The window that the run's calls draw on; empty for the one that it is in now."""
    if account.window != "run":
        return ""
    return window_label(
        "run", time_zone=account.time_zone, wall_seconds=0.0, run_id=purse_run(run_id)
    )


def _bound_of_synthesis(study: Study, plan: Plan) -> Bound:
    """The most that it can cost: every finding at its longest, one reply."""
    model = study.inquiry.model
    most = max(len(plan.tasks), study.inquiry.max_tasks if study.inquiry.max_rounds else 0)
    inputs = most * (model.max_output_tokens + _AROUND_TOKENS) * 3 // 2 + _AROUND_TOKENS
    prices = [price for name in model.names if (price := model.price_of(name)) is not None]
    nano = max(bound_cost(price, inputs, model.max_output_tokens) for price in prices)
    return Bound(nano, inputs, model.max_output_tokens)
