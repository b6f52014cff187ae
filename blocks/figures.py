"""What a run came to, read from the ledger: by item, for its budget, for its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from prefect_governor.blocks.budget.money import to_usd
from prefect_governor.blocks.budget.windows import window_label
from prefect_governor.blocks.ledger.admission import Purse
from prefect_governor.blocks.ledger.clock import machine_now
from prefect_governor.blocks.ledger.records import Account
from prefect_governor.blocks.runtime import Runtime
from prefect_governor.blocks.scope import attribution, current_scope


@dataclass(frozen=True, slots=True)
class ItemFigures:
    """What one item's calls were billed."""

    usd_nano: int
    input_tokens: int
    output_tokens: int
    calls: int


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """A budget in its current window, in USD."""

    name: str
    window: str
    ceiling_usd: Decimal | None
    spent_usd: Decimal
    unconfirmed_usd: Decimal
    reserved_usd: Decimal


@dataclass(frozen=True, slots=True)
class LimitFigures:
    """What held the run back longest, and what was in flight."""

    bottleneck: str | None
    cap: int | None
    max_in_flight: int
    throttled: int
    in_flight: int = 0
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All of a run's figures. `items` is by task run id, or by key where the run has items."""

    items: Mapping[str, ItemFigures]
    budget: BudgetFigures
    limits: LimitFigures
    notes: tuple[str, ...] = field(default=())


def budget_figures(runtime: Runtime, run: str | None) -> BudgetFigures:
    """The figures of the innermost budget that a run draws on."""
    account = runtime.accounts_[0]
    label = None
    if account.window == "run":
        wall = machine_now().wall / 1e9
        label = window_label("run", time_zone=account.time_zone, wall_seconds=wall, run_id=run)
    known = runtime.desk.store.read_purse(account.key, label)
    applied, purse = known if known else (account, _empty(account))
    return BudgetFigures(
        applied.name,
        purse.label,
        None if purse.ceiling_nano is None else to_usd(purse.ceiling_nano),
        to_usd(purse.spent_nano),
        to_usd(purse.unconfirmed_nano),
        to_usd(purse.reserved_nano),
    )


def limit_figures(
    runtime: Runtime,
    run: str | None,
    *,
    tags: tuple[str, ...] | None = None,
    models: tuple[str, ...] = (),
) -> LimitFigures:
    """What held a run's calls in this process, and the smallest cap they ran under: of the limits
    that apply to calls with these tags and models, of all limits where none are given."""
    stats = runtime.desk.stats(run)
    gates = [
        runtime.desk.store.read_gate(each.key)
        for each in runtime.limits_
        if tags is None or any(each.limit.applies_to(tags=tags, model=model) for model in models)
    ]
    caps = [gate.cap for gate in gates if gate is not None and gate.cap is not None]
    held = dict(stats.held_seconds)
    return LimitFigures(
        bottleneck=max(held, key=lambda name: held[name]) if held else None,
        cap=min(caps, default=None),
        max_in_flight=stats.max_in_flight,
        throttled=stats.throttled,
        in_flight=stats.in_flight,
        waiting_for=stats.waiting_for,
    )


def item_figures(
    runtime: Runtime, column: str, where: Mapping[str, str], keys: list[str] | None = None
) -> dict[str, ItemFigures]:
    """What calls were billed, by an attribution column such as `item` or `task_run_id`."""
    spent = runtime.desk.store.read_spend(column, where, keys)
    return {
        name: ItemFigures(each.spent_nano, each.input_tokens, each.output_tokens, each.calls)
        for name, each in spent.items()
        if name is not None
    }


def current_figures() -> RunFigures | None:
    """The figures of the flow run of the context under its governor; None outside a governor."""
    here = current_scope.get()
    if here is None or not isinstance(here.governor, Runtime):
        return None
    run = attribution(model="").flow_run_id
    items = {} if run is None else item_figures(here.governor, "task_run_id", {"flow_run_id": run})
    return RunFigures(items, budget_figures(here.governor, run), limit_figures(here.governor, run))


def _empty(account: Account) -> Purse:
    return Purse(account.key, "", account.name, account.ceiling_nano, account.ceiling_tokens)
