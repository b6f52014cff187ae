"""What a governor's money came to, read of its ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import Purse
from prefect_governor.blocks.ledger.decision.store import Piece, Spend, Store
from prefect_governor.blocks.ledger.decision.turns import PAUSED_PREFIX
from prefect_governor.blocks.ledger.desk import SWEEP_SECONDS, LedgerDesk
from prefect_governor.blocks.money.windows import window_bounds, window_label
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.statements.forecast import Forecast, Pace, forecast

# What is shown: so many days, and of each breakdown so many rows.
DAYS = 14
MOST_ROWS = 10
# The pace is that of the last day, or of the window where that is younger; of an hour at least, as
# a burst of some seconds is no pace of a day.
PACE_SECONDS = 86_400.0
LEAST_PACE_SECONDS = 3_600.0
_NANO = 10**9

Named = tuple[tuple[str | None, Spend], ...]


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget in its current window. `refused` is when it last refused a call, on the wall's clock
    in seconds, None where it did not; `paused` how many calls wait for a raise of it, at least."""

    account: Account
    purse: Purse
    forecast: Forecast
    refused: float | None = None
    paused: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """All of the page. `at` is on the wall's clock in seconds.

    Attributes:
        budgets: the chain, leaf first. All else is of the first.
        days: of the last days, the youngest last: its date, what was spent.
        deployments: by the deployment's id, None for calls of none; dearest first, as the others.
        of_window: whether the breakdowns are of the current window, or of the days.
    """

    governor: str
    at: float
    budgets: tuple[BudgetLine, ...]
    days: tuple[tuple[str, Spend], ...]
    deployments: Named
    models: Named
    pieces: tuple[Piece, ...]
    of_window: bool


def read_statement(
    governor: str, accounts: Sequence[Account], desk: LedgerDesk, *, at: float
) -> Statement:
    """What there is now. Raises LedgerUnavailable."""
    store = desk.store
    leaf = accounts[0]
    purses = {each.key: store.read_purse(each.key) for each in accounts}
    labels = {key: known[1].label for key, known in purses.items() if known is not None}
    told = desk.write(lambda batch: _told(batch, labels)).result()
    starts = _days(leaf.time_zone, at)
    days = store.read_spend_over_time([_wall(each) for each, _ in starts], account=leaf.key)
    of_window = leaf.window != "run"
    label = labels.get(leaf.key) if of_window else None
    since = None if of_window else _wall(starts[0][0])
    dearest = store.read_dearest(MOST_ROWS, account=leaf.key, label=label, since_wall=since)
    return Statement(
        governor=governor,
        at=at,
        budgets=tuple(_line(each, store, told, at) for each in accounts),
        days=tuple((name, spend) for (_, name), spend in zip(starts, days, strict=True)),
        deployments=_by("deployment", store, leaf.key, label, since),
        models=_by("model", store, leaf.key, label, since),
        pieces=tuple(dearest),
        of_window=of_window,
    )


def gone_nano(spend: Spend) -> int:
    """What is gone of the money: billed, or charged until somebody knows what was billed."""
    return spend.spent_nano + spend.unconfirmed_nano


def _days(time_zone: str, at: float) -> list[tuple[float, str]]:
    """When each of the last days began, and its date; the youngest last."""
    found: list[tuple[float, str]] = []
    instant = at
    while len(found) < DAYS:
        bounds = window_bounds("day", time_zone=time_zone, wall_seconds=instant)
        assert bounds is not None
        name = window_label("day", time_zone=time_zone, wall_seconds=instant, run_id=None)
        found.append((bounds[0], name))
        instant = bounds[0] - 1
    return found[::-1]


def _line(account: Account, store: Store, told: Mapping[str, "_Told"], at: float) -> BudgetLine:
    known = store.read_purse(account.key)
    applied, purse = known or (account, Purse(account.key, "", account.name, account.ceiling_nano))
    about = told.get(account.key, _Told(None, 0))
    if applied.window == "run":
        return BudgetLine(applied, purse, Forecast(), about.refused, about.paused)
    bounds = window_bounds(applied.window, time_zone=applied.time_zone, wall_seconds=at)
    began = at - pace_seconds(None if bounds is None else at - bounds[0])
    (spend,) = store.read_spend_over_time([_wall(began)], account=account.key)
    expected = forecast(
        gone_nano=purse.spent_nano + purse.unconfirmed_nano,
        ceiling_nano=applied.ceiling_nano,
        pace=Pace(gone_nano(spend), at - began),
        now=at,
        ends=None if bounds is None else bounds[1],
    )
    return BudgetLine(applied, purse, expected, about.refused, about.paused)


def pace_seconds(age: float | None) -> float:
    """How far is looked back for the pace in a window that is so old; None: it has no beginning."""
    return PACE_SECONDS if age is None else min(PACE_SECONDS, max(LEAST_PACE_SECONDS, age))


@dataclass(frozen=True, slots=True)
class _Told:
    refused: float | None
    paused: int


def _told(batch: Batch, labels: Mapping[str, str]) -> dict[str, _Told]:
    # A process that has only paused calls says so again at each sweep.
    heads = batch.rows.heads("", batch.rows.now.boot - int(2 * SWEEP_SECONDS * 1e9))
    found = {}
    for key, label in labels.items():
        marked = batch.rows.mark(key, label, "over_budget")
        paused = sum(head.calls for head in heads.get(f"{PAUSED_PREFIX}{key}", []))
        found[key] = _Told(marked / _NANO if marked else None, paused)
    return found


def _by(
    column: str, store: Store, account: str, label: str | None, since_wall: int | None
) -> Named:
    found = store.read_spend(column, {}, account=account, label=label, since_wall=since_wall)
    return tuple(sorted(found.items(), key=lambda each: (-gone_nano(each[1]), each[0] or "")))


def _wall(seconds: float) -> int:
    return int(seconds * _NANO)
