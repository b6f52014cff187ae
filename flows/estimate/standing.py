"""What a run would find: its limits, what is left of its budgets, and the ledger."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.money.usd import to_nano
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.limits import LimitRecord
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.estimate.pace import Left
from prefect_governor.flows.run.job import TAG, Request

RUN = "this run"


@dataclass(frozen=True)
class Standing:
    """What a run would come up against. `store` is None where no ledger was made yet."""

    limits: tuple[LimitRecord, ...]
    left: tuple[Left, ...]
    store: Store | None


def standing_of(request: Request) -> Standing:
    """For a run that is not there yet. Starts nothing and makes no ledger.

    Raises ConfigurationError for a governor that is not saved or not valid; LedgerUnavailable.
    """
    limits = [] if request.limit is None else [request.limit]
    accounts: list[Account] = []
    store: Store | None
    if request.governor is None:
        store = _ledger(None)
    else:
        from prefect_governor.blocks.documents.documents import accounts_of
        from prefect_governor.blocks.governor import resolve
        from prefect_governor.blocks.work.registry import ledger_url_of

        governor = resolve(request.governor)
        limits += governor.every_limit
        if not is_offline(request.model.name):
            # Its calls are drawn on no saved budget.
            accounts += accounts_of(request.governor)[1]
        store = _ledger(ledger_url_of(governor))
    own = _own(request)
    return Standing(
        _terms(limits, request), (*own, *(_left(each, store) for each in accounts)), store
    )


def standing_in(runtime: Runtime, request: Request) -> Standing:
    """For a run that has begun and has spent nothing."""
    store = runtime.desk.store
    limits = [each.limit for each in runtime.limits_]
    return Standing(
        _terms(limits, request), tuple(_left(each, store) for each in runtime.accounts_), store
    )


def _ledger(url: str | None) -> Store | None:
    """The ledger that a run would use; None where it would be the first to make one."""
    from prefect_governor.blocks.work.ledgers import desk, is_made

    return desk(url).store if is_made(url) else None


def _own(request: Request) -> tuple[Left, ...]:
    """The run's own ceiling, of which nothing is spent."""
    ceiling, tokens = request.ceiling_usd, request.max_total_tokens
    if ceiling is None and tokens is None:
        return ()
    return (Left(RUN, None if ceiling is None else to_nano(ceiling), tokens),)


def _terms(limits: Sequence[Limit], request: Request) -> tuple[LimitRecord, ...]:
    """Those of the limits that a sub-agent's calls fall under."""
    return tuple(
        limit.terms(limit.name, leased=False)
        for limit in limits
        if any(limit.applies_to(tags=(TAG,), model=name) for name in request.model.names)
    )


def _left(account: Account, store: Store | None) -> Left:
    """What is neither spent nor unconfirmed nor set aside of a budget, in the window of now."""
    nano, tokens = account.ceiling_nano, account.ceiling_tokens
    known = None
    # A run's own window begins with the run.
    if store is not None and account.window != "run":
        label = window_label(
            account.window, time_zone=account.time_zone, wall_seconds=time.time(), run_id=None
        )
        known = store.read_purse(account.key, label)
    if known is not None:
        _, purse = known
        gone = purse.spent_nano + purse.unconfirmed_nano + purse.allocated_nano
        gone_tokens = purse.spent_tokens + purse.unconfirmed_tokens + purse.allocated_tokens
        nano = None if purse.ceiling_nano is None else max(0, purse.ceiling_nano - gone)
        tokens = (
            None if purse.ceiling_tokens is None else max(0, purse.ceiling_tokens - gone_tokens)
        )
    return Left(account.name, nano, tokens)
