"""Setting a part of a chain of budgets aside, and giving it back, in a batch."""

from collections.abc import Sequence
from dataclasses import replace

from prefect_governor.blocks.errors import ConfigurationError, OverBudget
from prefect_governor.blocks.ledger.decision.page import Page
from prefect_governor.blocks.ledger.decision.purse import (
    ALLOCATION_PREFIX,
    Purse,
    PurseKey,
    is_allocation,
    purse_of,
    show_tokens,
    what_holds,
)
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound


def allocate(page: Page, allocation: Allocation, name: str, bound: Bound) -> None:
    """Set a part of every purse of `allocation.within` aside; see `LedgerDesk.allocate`.

    Raises OverBudget where it is not free there, ConfigurationError for a key that is no
    allocation's, LedgerUnavailable for a budget that the ledger does not know.
    """
    if not is_allocation(allocation.key):
        raise ConfigurationError(
            f"an allocation's key begins with {ALLOCATION_PREFIX!r}, not {allocation.key!r}"
        )
    known = page.allocation(allocation.key)
    if known is not None and not known.closed:
        # Made before: whoever asks again, such as a run that is taken up again, has it from now on.
        if known.owner != allocation.owner:
            page.book.money.allocations[known.key] = replace(known, owner=allocation.owner)
            page.changed_allocation(known.key)
        return
    within = _kept_windows(page, known) if known is not None else ()
    made = replace(allocation, within=within or _around(page, allocation), closed=False)
    rest = _rest_of(page, made, bound)
    short = page.book.money.missing(made.within, rest)
    if short is not None:
        error = OverBudget(_refusal(short, rest, made))
        error.drawable = _drawable(page, made.within, rest)
        raise error
    page.put_account(_account(made, name, bound))
    page.purse(page.known_account(made.key), purse_of(made.key)[1])
    page.book.money.open(made)
    page.book.money.changed.add(purse_of(made.key))
    page.changed_allocation(made.key)


def share(page: Page, parts: Sequence[Allocation]) -> None:
    """Set what is free now in the purses around aside, in as many equal parts as there are
    allocations, all new and of the same `within`: in money, in tokens, or in both, as there are
    ceilings.

    Raises OverBudget where no nano-dollar or no token is free for each, ConfigurationError where
    nothing around has a ceiling, and what `allocate` does.
    """
    within = _around(page, parts[0])
    free = [page.book.purses[key].room() for key in within]
    if page.book.money.open_among(within):
        # What an allocation has is held around it already: it alone decides, in what it has.
        nano, tokens = free[0]
        free = [
            (nano, tokens),
            *(
                (each[0] if nano is None else None, each[1] if tokens is None else None)
                for each in free[1:]
            ),
        ]
    nanos = [max(0, each[0]) for each in free if each[0] is not None]
    counts = [max(0, each[1]) for each in free if each[1] is not None]
    if not nanos and not counts:
        raise ConfigurationError("nothing has a ceiling here, so there is nothing to share")
    bound = Bound(min(nanos, default=0) // len(parts), min(counts, default=0) // len(parts), 0)
    if (nanos and not bound.nano) or (counts and not bound.tokens):
        purse = page.book.purses[within[0]]
        in_tokens = bool(bound.nano or not nanos)
        held = what_holds(purse, in_tokens=in_tokens)
        error = OverBudget(
            f"{len(parts):,} shares: nothing is free for each of them in budget {purse.name!r}"
            f" (window {purse.label}{': ' if held else ''}{held}); raise the ceiling to go on"
        )
        error.drawable = _drawable(page, within, Bound(len(parts), 0, 0))
        raise error
    for each in parts:
        allocate(page, each, each.label, bound)


def give_back(page: Page, key: str) -> int:
    """Close an allocation. Returns the nano-dollars that went back; 0 for one that is closed or
    was never made."""
    known = page.allocation(key)
    if known is None or known.closed:
        return 0
    rest = page.book.money.close(key)
    page.changed_allocation(key)
    return rest


def _around(page: Page, allocation: Allocation) -> tuple[PurseKey, ...]:
    """The purses that an allocation is set aside in, each once, with those around an allocation
    among them; a label that is empty becomes that of the window the budget is in now."""
    found: dict[PurseKey, None] = {}
    for account, label in allocation.within:
        label = label or page.window_of(page.known_account(account))
        page.purse(page.known_account(account), label)
        found[(account, label)] = None
        outer = page.allocation(account) if is_allocation(account) else None
        if outer is not None:
            if outer.closed:
                raise OverBudget(
                    f"allocation {outer.label!r} was given back: nothing is left in it"
                )
            found.update(dict.fromkeys(outer.within))
    return tuple(found)


def _kept_windows(page: Page, closed: Allocation) -> tuple[PurseKey, ...]:
    """The windows of an allocation that is opened anew, where they must stay: as long as anything
    in it may come back to it (calls in flight or unconfirmed, allocations inside it), that money is
    held there and nowhere else."""
    purse = page.book.purses[purse_of(closed.key)]
    outstanding = (
        purse.reserved_nano, purse.unconfirmed_nano, purse.allocated_nano,
        purse.reserved_tokens, purse.unconfirmed_tokens, purse.allocated_tokens,
    )  # fmt: skip
    return _around(page, closed) if any(outstanding) else ()


def _drawable(page: Page, within: tuple[PurseKey, ...], rest: Bound) -> bool:
    """Whether all of it may be drawn still, where something has to be drawn: it is asked for."""
    purses = [page.book.purses[key] for key in within]
    reachable = all(
        left is None or need <= max(0, left)
        for each in purses
        for left, need in zip(each.reachable(), (rest.nano, rest.tokens), strict=True)
    )
    if not reachable or not any(any(each.lacks(rest)) for each in purses):
        return False
    page.want(purses, rest)
    return True


def _rest_of(page: Page, made: Allocation, bound: Bound) -> Bound:
    """What must be free for an allocation; less where it was open before and spent of it."""
    known = page.account(made.key)
    if known is None:
        return Bound(bound.nano, bound.tokens, 0)
    purse = page.purse(known[0], purse_of(made.key)[1])
    return Bound(
        max(0, bound.nano - purse.gone_nano - purse.reserved_nano - purse.allocated_nano),
        max(0, bound.tokens - purse.gone_tokens - purse.reserved_tokens - purse.allocated_tokens),
        0,
    )


def _account(made: Allocation, name: str, bound: Bound) -> Account:
    # Of what nothing is set aside, its calls take what is free, as all others do.
    tokens = bound.tokens or None
    return Account(made.key, name, None if tokens and not bound.nano else bound.nano, tokens)


def _refusal(short: Purse, rest: Bound, made: Allocation) -> str:
    nano, _ = short.room()
    in_tokens = nano is None or rest.nano <= max(0, nano)
    show = show_tokens if in_tokens else show_usd
    left = short.room()[1 if in_tokens else 0]
    holds = what_holds(short, in_tokens=in_tokens)
    return (
        f"the allocation {made.label!r} needs {show(rest.tokens if in_tokens else rest.nano)},"
        f" {show(max(0, left or 0))} of budget {short.name!r} is free (window {short.label}"
        f"{': ' if holds else ''}{holds}); raise the ceiling, or ask for less"
    )
