"""A budget's figures up its chain: what is spent, by whom, what holds the rest, what waits."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.observing import NotMeasured, not_measured
from prefect_governor.blocks.ledger.decision.admission import NOT_MEASURED, Purse
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.queue import EXCLUSIVE_PREFIX
from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.ledger.decision.turns import PAUSED_PREFIX
from prefect_governor.blocks.ledger.desk import SWEEP_SECONDS, LedgerDesk
from prefect_governor.blocks.records.budgets import Account, AccountState, Allocation
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget.echoes import without_echoes
from prefect_governor.flows.cli.budget.names import Names, read_names
from prefect_governor.flows.cli.terminal.terminal import say
from prefect_governor.flows.server.server import ensure_server, use_server

# A process that has only paused calls says so again at each sweep.
SAID_SECONDS = 2 * SWEEP_SECONDS

LOCAL = "local/"
UNNAMED = "(none)"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class AllocationView:
    """A part of a budget that is set aside, and what of it is gone."""

    allocation: Allocation
    account: Account
    purse: Purse


@dataclass(frozen=True)
class BudgetView:
    """One budget in its current window: its figures, and the calls and allocations that hold what
    is neither spent nor left. Calls are in the order of their admission."""

    state: AccountState
    window: str
    reserved: tuple[CallRecord, ...] = ()
    unconfirmed: tuple[CallRecord, ...] = ()
    allocations: tuple[AllocationView, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """What calls wait for, for how long the first of them, and how many there are at least."""

    what: str
    seconds: float
    calls: int = 1


@dataclass(frozen=True)
class Holder:
    """Work that is no model call and holds slots: in `governor.slot` or `governor.exclusive`, or a
    task run that a limit counts. `what` are the limits and keys, `call` is as the ledger has it."""

    what: tuple[str, ...]
    call: CallRecord


@dataclass(frozen=True)
class View:
    """A budget now.

    Attributes:
        chain: it and its parents, leaf first.
        spends: its spend by `by`, dearest first, in its current window, or since an instant.
        waiting: the longest wait for each budget of the chain, and for each limit of a governor.
        holders: work that holds slots of a governor, in the order of its admission.
        not_measured: of the first budget's window, calls that were only observed and that
            enforcement would refuse: they have no price, no bound or no known path.
        audit: what people changed, oldest first; None where it was not asked for.
        names: of the deployments and flow runs that it names by their ids.
    """

    kind: str
    name: str
    at: datetime
    chain: tuple[BudgetView, ...]
    by: str | None = None
    since: datetime | None = None
    spends: tuple[tuple[str, Spend], ...] = ()
    waiting: tuple[Waiting, ...] = ()
    holders: tuple[Holder, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()
    audit: tuple[Audit, ...] | None = None
    names: Names = field(default_factory=Names)


@dataclass(frozen=True)
class Source:
    """A name on the command line: whose budgets, in which ledger. `limits` is by the ledger's
    key; `root` is what a governor's own keys begin with, empty for a budget."""

    kind: str
    name: str
    accounts: tuple[Account, ...]
    desk: LedgerDesk
    limits: dict[str, str] = field(default_factory=dict)
    root: str = ""


def open_source(name: str) -> Source:
    """What a name stands for: a saved Governor or Budget, or "local/NAME".

    What the documents say is applied to the ledger, whether or not a flow has run under it since.

    Raises ConfigurationError, LedgerUnavailable.
    """
    if name.startswith(LOCAL):
        from prefect_governor.blocks.work.ledgers import desk

        return Source("Local governor", name, _local(name, desk()), desk(), root=name)
    use_server(ensure_server(on_progress=say))
    from prefect_governor.flows.cli.budget.documents import find_saved

    saved = find_saved(name)
    saved.desk.write(lambda batch: [batch.register(each) for each in saved.accounts]).result()
    return Source(saved.kind, name, saved.accounts, saved.desk, saved.limits, saved.root)


def read_view(
    source: Source, *, by: str | None = None, since: datetime | None = None, audit: bool = False
) -> View:
    """A budget's figures now. Raises LedgerUnavailable."""
    chain = tuple(read_budget(account, source.desk) for account in source.accounts)
    spends: tuple[tuple[str, Spend], ...] = ()
    if by is not None:
        found = source.desk.store.read_spend(
            by,
            {},
            account=source.accounts[0].key,
            label=chain[0].state.window if since is None else None,
            since_wall=None if since is None else to_wall(since),
        )
        spends = tuple(
            sorted(
                ((key or UNNAMED, spend) for key, spend in found.items()),
                key=lambda each: (-each[1].spent_nano - each[1].unconfirmed_nano, each[0]),
            )
        )
    view = View(
        source.kind,
        source.name,
        datetime.now(timezone.utc),
        chain,
        by,
        since,
        spends,
        _waiting(source),
        _holders(source) if source.root else (),
        _not_measured(source, chain[0].state.window),
        _audit(source) if audit else None,
    )
    return view if source.name.startswith(LOCAL) else replace(view, names=_names(view))


def _names(view: View) -> Names:
    calls = [call for each in view.chain for call in (*each.reserved, *each.unconfirmed)]
    known = [call.attribution for call in (*calls, *(each.call for each in view.holders))]
    spent = [key for key, _ in view.spends] if view.by == "deployment" else []
    return read_names(
        [*spent, *(each.deployment for each in known)], (each.flow_run_id for each in known)
    )


def parse_instant(text: str, now: datetime, *, option: str) -> datetime:
    """A point in time, from an age or an ISO 8601 date or time (local without a zone).

    Raises ConfigurationError, which names the option.
    """
    if age := re.fullmatch(r"(\d{1,6})\s*([mhdw])", text.strip()):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        # Python 3.10 does not read the Z of UTC.
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"{option} {text!r} is neither an age (30m, 24h, 7d, 2w) nor a date or time such as"
            " 2026-01-31 or 2026-01-31T09:00"
        ) from None


def to_wall(instant: datetime) -> int:
    """An instant on the ledger's wall clock, in ns."""
    return int(instant.timestamp() * 1e9)


def of_wall(wall: int) -> datetime:
    """An instant of the ledger's wall clock."""
    return datetime.fromtimestamp(wall / 1e9, tz=timezone.utc)


def left(ceiling: int | None, *taken: int) -> int | None:
    """What is left of a ceiling; None where there is none."""
    return None if ceiling is None else max(0, ceiling - sum(taken))


def left_nano(state: AccountState) -> int | None:
    """What may still be reserved, in nano-dollars."""
    return left(
        state.ceiling_nano,
        state.spent_nano,
        state.unconfirmed_nano,
        state.reserved_nano,
        state.allocated_nano,
        state.elsewhere_nano,
    )


def left_tokens(state: AccountState) -> int | None:
    """What may still be reserved, in tokens."""
    return left(
        state.ceiling_tokens,
        state.spent_tokens,
        state.unconfirmed_tokens,
        state.reserved_tokens,
        state.allocated_tokens,
        state.elsewhere_tokens,
    )


def read_budget(account: Account, desk: LedgerDesk) -> BudgetView:
    """One budget in its current window. Raises LedgerUnavailable."""
    from prefect_governor.blocks.work.ledgers import account_state

    state = account_state(account, at=desk)
    if not state.window:
        return BudgetView(state, account.window)
    held = desk.store.read_calls(
        ("reserved", "unconfirmed"), account=account.key, label=state.window
    )
    allocations = (
        AllocationView(*each)
        for each in desk.store.read_allocations(account.key)
        if (account.key, state.window) in each[0].within
    )
    return BudgetView(
        state,
        account.window,
        tuple(call for call in held if call.state == "reserved"),
        tuple(call for call in held if call.state == "unconfirmed"),
        tuple(allocations),
    )


def _waiting(source: Source) -> tuple[Waiting, ...]:
    names = {f"purse:{each.key}": f"budget {each.name!r}" for each in source.accounts}
    names |= {f"gate:{key}": f"limit {name!r}" for key, name in source.limits.items()}
    names |= {
        f"{PAUSED_PREFIX}{each.key}": f"a raise of budget {each.name!r} (paused)"
        for each in source.accounts
    }

    def read(batch: Batch) -> tuple[Waiting, ...]:
        now = batch.rows.now.boot
        heads = batch.rows.heads("", now - int(SAID_SECONDS * 1e9))
        return tuple(
            Waiting(
                name,
                max(0.0, (now - min(head.asked for head in heads[resource])) / 1e9),
                sum(head.calls for head in heads[resource]),
            )
            for resource, name in names.items()
            if resource in heads
        )

    return source.desk.write(read).result()


def _holders(source: Source) -> tuple[Holder, ...]:
    own, alone = f"{source.root}/", f"{EXCLUSIVE_PREFIX}{source.root}/"

    def named(key: str) -> str | None:
        if key.startswith(own):
            return f"limit {source.limits.get(key, key.removeprefix(own))!r}"
        return f"exclusive {key.removeprefix(alone)!r}" if key.startswith(alone) else None

    # What a slot is kept under costs nothing, and draws on no budget.
    free = [
        call
        for call in source.desk.store.read_calls(("reserved",))
        if not (call.bound.nano or call.bound.tokens)
    ]
    ids = [call.call_id for call in free]
    known = source.desk.write(lambda batch: batch.rows.reservations(ids)).result() if ids else {}
    found = []
    for call in free:
        held = known.get(call.call_id)
        if held is None or held.purses:
            continue
        names = tuple(name for key, _ in held.gates if (name := named(key)) is not None)
        if names:
            found.append(Holder(names, call))
    return tuple(found)


def _not_measured(source: Source, window: str) -> tuple[NotMeasured, ...]:
    key = source.accounts[0].key
    calls = source.desk.store.read_calls(
        ("reserved", "spent", "unconfirmed"), account=key, label=window, observed=NOT_MEASURED
    )
    return not_measured(calls)


def _audit(source: Source) -> tuple[Audit, ...]:
    """Rows of the first budget of the chain, and of calls that draw on it."""
    key = source.accounts[0].key
    rows = source.desk.store.read_audit()
    ids = {row.subject for row in rows if row.subject != key}
    calls = source.desk.write(lambda batch: batch.rows.reservations(ids)).result()
    drawn = {
        call_id
        for call_id, call in calls.items()
        if any(account == key for account, _ in call.purses)
    }
    return without_echoes(row for row in rows if row.subject == key or row.subject in drawn)


def _local(name: str, desk: LedgerDesk) -> tuple[Account, ...]:
    known = desk.store.read_purse(name)
    if known is None:
        plain = name.removeprefix(LOCAL)
        raise ConfigurationError(
            f"no local governor {plain!r} has been at work on this machine: it is known once a"
            f" script ran under Governor.local({plain!r}, max_usd=…), with this PREFECT_HOME"
        )
    return (known[0],)
