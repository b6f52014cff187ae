"""A whole ledger, moved to another store under the same id.

In this order: the old one is marked and lets nobody spend; all is copied in one transaction, and
kept only where it comes to the same figures; the old one is marked as moved. So there is never more
than one from which money can be spent, and a move that was cut short, wherever, is gone on with by
asking for it again.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.tables import TABLES
from prefect_governor.blocks.ledger.life.whole import Tell, Whole, refuse_processes
from prefect_governor.blocks.ledger.moved import Mark


@dataclass(frozen=True)
class Moved:
    """What was moved. `rows` by table; `spent_nano` and `calls` are those of all calls and sums
    that stand in it."""

    ledger_id: str
    rows: dict[str, int]
    was_there: bool = False


def move(
    source: Whole,
    target: Whole,
    *,
    at: str,
    dry_run: bool = False,
    tell: Tell = lambda table, rows: None,
    step: Callable[[str], None] = lambda name: None,
) -> Moved:
    """Move a ledger, or go on with a move of it to the same place.

    `at` is now, as people are told it. `step` is called before each step that writes.

    Raises:
        ConfigurationError: there is no ledger, processes are at work in it, it went elsewhere,
            another move of it is under way, or there is another one where it is to go. Nothing was
            changed.
        LedgerUnavailable: one of the two cannot be used. The old one may be marked; see `cancel`.
    """
    with nullcontext() if dry_run else source.held():
        return _move(source, target, at=at, dry_run=dry_run, tell=tell, step=step)


def _move(
    source: Whole, target: Whole, *, at: str, dry_run: bool, tell: Tell, step: Callable[[str], None]
) -> Moved:
    ledger_id = source.ledger_id()
    if ledger_id is None:
        raise ConfigurationError(f"there is no ledger in {source.place} that holds anything")
    there, mark, husk = target.ledger_id(), source.mark(), target.mark()
    if mark is not None and mark.to != target.place:
        what = "was moved" if mark.done else "is being moved"
        raise ConfigurationError(f"the ledger {source.place} {what} to {mark.to} on {mark.at}")
    replaced = there if there == ledger_id and husk is not None and husk.done else None
    if replaced is not None:
        # It comes back to where it was once.
        there = None
    if there is not None and (there != ledger_id or mark is None):
        raise ConfigurationError(
            f"there is a ledger at {target.place} already ({there[:8]}): it would be a second"
            " ceiling. Choose another place (of a PostgreSQL: another ?schema=)"
        )
    if husk is not None and replaced is None:
        raise ConfigurationError(f"the ledger at {target.place} was moved on from there")
    if mark is None:
        refuse_processes(source.place, source.processes())
    figures = source.figures()
    rows = {table.name: figures[table.name][0] for table in TABLES}
    if dry_run:
        return Moved(ledger_id, rows, there is not None)
    if mark is None:
        mark = Mark(target.place, at, False)
        step("mark")
        source.leave(mark)
        # Calls of processes that are dead may have become unconfirmed.
        figures = source.figures()
    if there is None:
        step("copy")
        target.take_in(ledger_id, source.rows, figures, tell, replaced=replaced)
    step("finish")
    if not mark.done:
        source.finish(replace(mark, done=True))
    return Moved(ledger_id, rows, there is not None)


def cancel(source: Whole, target: Whole) -> bool:
    """Let a ledger be where it was, whose move was cut short before all of it was copied. False
    where it was not being moved.

    Raises ConfigurationError where it is at the other place already or is just being copied there,
    LedgerUnavailable.
    """
    with source.held():
        return _cancel(source, target)


def _cancel(source: Whole, target: Whole) -> bool:
    ledger_id, mark = source.ledger_id(), source.mark()
    if mark is None:
        return False
    # What is left where it came from once is no ledger any more.
    arrived = target.ledger_id() == ledger_id and target.mark() is None
    if mark.done or arrived:
        raise ConfigurationError(
            f"the ledger is at {mark.to} already: to have it back, move it from there"
        )
    if mark.to != target.place:
        raise ConfigurationError(f"it is being moved to {mark.to}: name that place with --to")
    source.finish(None)
    return True
