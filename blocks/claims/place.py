"""A budget where its money is: its accounts up the chain, and the desk of their ledger."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prefect_governor.blocks.claims.allocation import BudgetAllocation
from prefect_governor.blocks.claims.drawing import once_drawn
from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.context.waits import wait_blocking
from prefect_governor.blocks.documents.documents import (
    budget_chain,
    define,
    find_by_id,
    read_by_id,
)
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.money.usd import Money, to_nano
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.blocks.terms.limit import MOST_COUNT
from prefect_governor.blocks.work.registry import desk_of_document
from prefect_governor.blocks.work.runtime import Runtime


@dataclass(frozen=True)
class BudgetPlace:
    """A budget's accounts, leaf first, as the ledger at `desk` has them by now. `governor` is the
    one that it is part of, if it is part of one."""

    desk: LedgerDesk
    accounts: tuple[Account, ...]
    governor: Callable[[], Runtime] | None = None


def place_in_governor(governor: Callable[[], Runtime], document_id: UUID | None) -> BudgetPlace:
    """Where the budget of a governor is. What is newer in the governor's document, where it has
    one, is applied first."""
    runtime = governor()
    place = BudgetPlace(runtime.desk, runtime.accounts_, governor)
    document = None if document_id is None else find_by_id(document_id)
    if document is None:
        return place
    return _applied(BudgetPlace(place.desk, define(document).accounts, governor))


def place_of_document(document_id: UUID, name: str | None) -> BudgetPlace:
    """Where a Budget that was saved by itself is. What is newer in its document is applied first.

    Raises ConfigurationError, LedgerUnavailable.
    """
    document = read_by_id(document_id)
    desk = desk_of_document(document_id, str(document.name or name or document_id))
    return _applied(BudgetPlace(desk, budget_chain(document)))


def _applied(place: BudgetPlace) -> BudgetPlace:
    def apply(batch: Batch) -> None:
        for account in place.accounts:
            batch.register(account)

    wait_blocking(place.desk.write(apply))
    return place


def allocate(
    place_of: Callable[[], BudgetPlace],
    max_usd: Money | None,
    max_total_tokens: int | None,
    *,
    label: str,
    elastic: bool,
    outlives_process: bool,
) -> BudgetAllocation:
    """See `Budget.allocate`."""
    bound = _amount(max_usd, max_total_tokens)
    if not label.strip():
        raise ConfigurationError("label is empty: say what the allocation is for")
    place = place_of()
    allocation = Allocation(
        key=f"{ALLOCATION_PREFIX}{uuid.uuid4().hex}",
        label=label.strip(),
        within=around(place),
        group=_run(),
        elastic=elastic,
        owner=None if outlives_process else place.desk.process.id,
    )
    once_drawn(lambda: place.desk.allocate(allocation, label.strip(), bound), wait_blocking)
    return BudgetAllocation(place.desk, allocation, governor=place.governor)


def around(place: BudgetPlace) -> tuple[tuple[str, str], ...]:
    """What a part of a budget is set aside in by the running code: the allocation that it is in,
    where that is of the same ledger, and the budgets up the chain, each with its window."""
    run = _run()
    within = [(each.key, _window(each, run)) for each in place.accounts]
    here = current_scope.get()
    if here is not None and here.allocation is not None and here.governor.desk is place.desk:
        # A part of a part.
        within.insert(0, (here.allocation, ""))
    return tuple(within)


def _run() -> str | None:
    who = attribution(model="")
    return who.run_id or who.flow_run_id


def _window(account: Account, run: str | None) -> str:
    """The window that a part is set aside in; empty for the one that the budget is in now."""
    if account.window != "run":
        return ""
    return window_label("run", time_zone=account.time_zone, wall_seconds=0.0, run_id=purse_run(run))


def _amount(max_usd: Money | None, max_total_tokens: int | None) -> Bound:
    if max_usd is None and max_total_tokens is None:
        raise ConfigurationError(
            "an allocation needs an amount: give max_usd, max_total_tokens or both"
        )
    tokens = max_total_tokens or 0
    if isinstance(tokens, bool) or not 0 <= tokens <= MOST_COUNT:
        raise ConfigurationError(
            f"max_total_tokens must be a whole number from 0 to {MOST_COUNT:,}, not"
            f" {max_total_tokens!r}"
        )
    nano = 0 if max_usd is None else to_nano(max_usd, name="max_usd")
    return Bound(nano, tokens, 0)
