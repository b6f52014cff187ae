"""What a run came to, read from the ledger: by item, for its budget, for its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from prefect_governor.blocks.bypass.passed import passed_notes
from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.figures.at_once import at_once, observed
from prefect_governor.blocks.figures.observing import enforcement_notes
from prefect_governor.blocks.ledger.decision.admission import Purse
from prefect_governor.blocks.ledger.decision.gate import Gate
from prefect_governor.blocks.limits.derived import AT_ONCE, Pace, Term, core_holds, core_term
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.machine.clock import machine_now
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.records.budgets import NOMINAL, Account
from prefect_governor.blocks.wire.retries import retry_notes
from prefect_governor.blocks.work.registry import statement_of
from prefect_governor.blocks.work.runtime import Runtime

# What the ledger says of a call that waits for a raise.
_PAUSED = "; paused until "


@dataclass(frozen=True, slots=True)
class ItemFigures:
    """What one item's calls were billed."""

    usd_nano: int
    input_tokens: int
    output_tokens: int
    calls: int


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """A budget in its current window, in USD. `run_usd` is what of it one run spent, None where it
    was not asked for; `statement` the key of the governor's page of money, None where there is
    none."""

    name: str
    window: str
    ceiling_usd: Decimal | None
    spent_usd: Decimal
    unconfirmed_usd: Decimal
    reserved_usd: Decimal
    run_usd: Decimal | None = None
    statement: str | None = None


@dataclass(frozen=True, slots=True)
class LimitFigures:
    """What held the run back longest, and what was in flight. `calls` counts the requests sent here
    so far; `rate` is the tightest limit on them, so many in so many seconds. `at_once` is how many
    each thing lets be at once, the smallest first."""

    bottleneck: str | None
    cap: int | None
    max_in_flight: int
    throttled: int
    in_flight: int = 0
    waiting_for: str | None = None
    calls: int = 0
    rate: tuple[int, int] | None = None
    at_once: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All of a run's figures. `items` is by task run id, or by key where the run has items."""

    items: Mapping[str, ItemFigures]
    budget: BudgetFigures
    limits: LimitFigures
    notes: tuple[str, ...] = field(default=())
    # Whether the governor is for calls, and not for task runs alone.
    expects_calls: bool = False


def budget_figures(runtime: Runtime, run: str | None) -> BudgetFigures:
    """The figures of the innermost budget that a run draws on."""
    return _figures_of(runtime, runtime.accounts_[0], run)


def chain_figures(runtime: Runtime, run: str | None) -> tuple[BudgetFigures, ...]:
    """The figures of all budgets that a run draws on, the innermost first."""
    return tuple(_figures_of(runtime, account, run) for account in runtime.accounts_)


def _figures_of(runtime: Runtime, account: Account, run: str | None) -> BudgetFigures:
    applied, purse = _purse(runtime, account, run)
    return BudgetFigures(
        applied.name,
        purse.label,
        None if purse.ceiling_nano is None else to_usd(purse.ceiling_nano),
        to_usd(purse.spent_nano),
        to_usd(purse.unconfirmed_nano),
        to_usd(purse.reserved_nano),
    )


def run_figures(runtime: Runtime, run: str) -> BudgetFigures:
    """`budget_figures`, with what a run spent."""
    spent = run_usd(runtime, run)
    return replace(budget_figures(runtime, run), run_usd=spent, statement=statement_of(runtime))


def run_usd(runtime: Runtime, run: str, *, column: str = "run_id") -> Decimal:
    """What a run's calls came to so far, in USD: billed, and unconfirmed at their bounds. All of
    its calls are read."""
    spent = runtime.desk.store.read_spend(column, {column: run})
    return to_usd(sum(each.spent_nano + each.unconfirmed_nano for each in spent.values()))


def limit_figures(
    runtime: Runtime,
    run: str | None,
    *,
    tags: tuple[str, ...] | None = None,
    models: tuple[str, ...] = (),
    pace: Pace | None = None,
) -> LimitFigures:
    """What held a run's calls in this process, and the smallest cap they ran under: of the limits
    that apply to calls with these tags and models, of all limits where none are given. `pace` is
    what was reached, where that is known."""
    stats = runtime.desk.stats(run)
    keys = [
        each.key
        for each in runtime.limits_
        if tags is None or any(each.limit.applies_to(tags=tags, model=model) for model in models)
    ]
    read = runtime.desk.store.read_gate
    gates = [gate for key in (*keys, *runtime.upstreams) if (gate := read(key)) is not None]
    caps = [gate.cap for gate in gates if gate.cap is not None]
    rates = [
        (meter.rate.amount, meter.rate.window_seconds)
        for gate in gates
        for meter in gate.meters
        if meter.rate.meter == "requests"
    ]
    held = dict(stats.held_seconds)
    memory = item_starts().figures()
    if memory.held_seconds > 0:
        held["memory"] = memory.held_seconds
    bottleneck = max(held, key=lambda name: held[name]) if held else None
    known = at_once(gates, money_left_nano=_money_left(runtime, run))
    core = None if pace is None else core_term(pace, each=observed(gates))
    if core is not None:
        bottleneck = core.name if core_holds(core, known) else bottleneck
        known = tuple(sorted((*known, core), key=lambda term: term.cap))
    return LimitFigures(
        bottleneck=bottleneck,
        cap=min(caps, default=None),
        max_in_flight=stats.max_in_flight,
        throttled=stats.throttled,
        in_flight=stats.in_flight,
        waiting_for=_in_words(stats.waiting_for, stats.place) or memory.waiting_for,
        calls=stats.calls,
        rate=min(rates, key=lambda rate: rate[0] / rate[1], default=None),
        at_once=known,
    )


def at_once_notes(limits: LimitFigures) -> tuple[str, ...]:
    """A line for a report: the numbers of all that might hold a run back."""
    if not limits.at_once:
        return ()
    return (f"{AT_ONCE}{'; '.join(map(str, limits.at_once))}",)


def learned_notes(runtime: Runtime) -> tuple[str, ...]:
    """Lines for a report: the limits that nobody configured, of the providers that throttled or
    were held to what they taught."""
    read = runtime.desk.store.read_gate
    found = (read(key) for key in runtime.upstreams)
    return tuple(line for gate in found if gate is not None and (line := _learned(gate)))


def nominal_notes(runtime: Runtime, run: str | None) -> tuple[str, ...]:
    """A line for a report where the offline model answered under a saved governor."""
    if run is None:
        return ()
    read = runtime.desk.store.read_spend
    known = (
        read("model", {column: run}, account=NOMINAL.key) for column in ("run_id", "flow_run_id")
    )
    calls = max(sum(spend.calls for spend in found.values()) for found in known)
    if not calls:
        return ()
    counted = f"{calls:,} calls of the offline model were"
    if calls == 1:
        counted = "1 call of the offline model was"
    return (
        f"{counted} drawn on no saved budget: nobody bills the offline model, and what stands as"
        " its cost is nominal",
    )


def _learned(gate: Gate) -> str | None:
    known = gate.upstream
    if known is None or (not known.episodes and not known.rates.rates):
        return None
    parts = [
        f"{rate.amount:,} {rate.name} ({'its headers' if each.source == 'headers' else 'its 429s'})"
        for each in known.rates.rates.values()
        for rate in [each.meter.rate]
    ]
    if known.cap.cap is not None:
        parts.append(f"{known.cap.cap:,} calls at once (cut for {known.cap.cause})")
    count = "once" if known.episodes == 1 else f"{known.episodes} times"
    times = "" if not known.episodes else f"; throttled {count}"
    return f"learned of {gate.name}: {', '.join(parts) or 'nothing that holds now'}{times}"


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
    limits = limit_figures(here.governor, run)
    budget = replace(budget_figures(here.governor, run), statement=statement_of(here.governor))
    if run is not None:
        spent = run_usd(here.governor, run, column="flow_run_id")
        budget = replace(budget, run_usd=spent)
    return RunFigures(
        items,
        budget,
        limits,
        (
            *at_once_notes(limits),
            *enforcement_notes(here.governor, run),
            *retry_notes(run),
            *passed_notes(run),
            *learned_notes(here.governor),
            *nominal_notes(here.governor, run),
        ),
        here.governor.expects_calls,
    )


def _in_words(waiting_for: str | None, place: int | None) -> str | None:
    # A pause is no queue: it ends with a raise, or with a person's patience.
    if waiting_for is not None and _PAUSED in waiting_for:
        return f"paused for money: {waiting_for}"
    if waiting_for is not None and place is not None:
        return f"{waiting_for} (place {place})"
    return waiting_for


def _purse(runtime: Runtime, account: Account, run: str | None) -> tuple[Account, Purse]:
    """A budget as it applies, and its figures in its current window; of one for each run, the
    run's."""
    label = None
    if account.window == "run":
        wall = machine_now().wall / 1e9
        label = window_label(
            "run", time_zone=account.time_zone, wall_seconds=wall, run_id=purse_run(run)
        )
    return runtime.desk.store.read_purse(account.key, label) or (account, _empty(account))


def _money_left(runtime: Runtime, run: str | None) -> int | None:
    """The least that is left up the chain of budgets, in nano-dollars; None without a ceiling."""
    purses = (_purse(runtime, account, run)[1] for account in runtime.accounts_)
    left = [each.ceiling_nano - each.gone_nano for each in purses if each.ceiling_nano is not None]
    return min(left, default=None)


def _empty(account: Account) -> Purse:
    return Purse(account.key, "", account.name, account.ceiling_nano, account.ceiling_tokens)
