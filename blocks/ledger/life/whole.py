"""What a move asks of a store: all of a ledger at once, with nobody at work in it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.tables import TABLES, Table, Values
from prefect_governor.blocks.ledger.moved import Mark

Figures = dict[str, tuple[int, ...]]
# Called with a table's name and how many of its rows were copied so far.
Tell = Callable[[str, int], None]


@dataclass(frozen=True)
class Process:
    """One at work in a ledger. `pid` is that of its own machine, None where it has said nothing
    yet."""

    owner: str
    pid: int | None

    def __str__(self) -> str:
        return f"owner {self.owner[:8]}" if self.pid is None else f"pid {self.pid}"


class Whole(Protocol):
    """A ledger, all of it. Every method raises LedgerUnavailable where it cannot be used."""

    @property
    def place(self) -> str:
        """Where it is, for people: no password."""

    def ledger_id(self) -> str | None:
        """None where there is no ledger yet, or one that holds nothing."""

    def mark(self) -> Mark | None:
        """What it says of a move away from it."""

    def held(self) -> AbstractContextManager[None]:
        """Of the moves away from it and their cancelling, one at a time; for other machines too,
        where they share it. A process that dies holds nothing.

        Raises ConfigurationError where another is under way.
        """

    def processes(self) -> list[Process]:
        """Those at work in it now."""

    def leave(self, mark: Mark) -> None:
        """Let nobody spend in it any more: the mark and what enforces it, in one transaction, with
        the calls of processes that are dead unconfirmed. What is under way is seen by it.

        Raises ConfigurationError where processes are at work in it.
        """

    def finish(self, mark: Mark | None) -> None:
        """Say that the move is done; None: that it is not made, and all is as it was."""

    def figures(self) -> Figures:
        """`figures_sql` of each table, where the clock of the old store counts no more."""

    def rows(self, table: Table) -> Iterator[Values]:
        """All rows of a table, in their order, as every store is given them: JSON as text with
        the separators of the table, flags as 0 and 1."""

    def take_in(
        self,
        ledger_id: str,
        rows: Callable[[Table], Iterable[Values]],
        figures: Figures,
        tell: Tell,
        *,
        replaced: str | None = None,
    ) -> None:
        """Write a whole ledger where there is none, or that of the id `replaced`, which went away
        from here before: all of it or nothing, and only where it comes to the same figures.

        Raises ConfigurationError where there is another one, LedgerUnavailable where they differ.
        """

    def close(self) -> None: ...


def under_way(place: str) -> ConfigurationError:
    """Another move of a ledger is not done."""
    return ConfigurationError(
        f"a move of the ledger {place} is under way: let it end, or end it, then run this again"
    )


def refuse_processes(place: str, found: list[Process]) -> None:
    """Raises ConfigurationError where processes are at work in a ledger."""
    if found:
        named = ", ".join(str(each) for each in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise ConfigurationError(
            f"{len(found)} process{'' if len(found) == 1 else 'es'} at work in the ledger {place}:"
            f" {named}{more}. Let their runs end, or stop them (serving deployments and workers"
            " too), then run this again"
        )


def counted(rows: Iterable[Values], table: Table, tell: Tell) -> Iterator[Values]:
    """The rows, telling of every 10,000th."""
    number = 0
    for number, row in enumerate(rows, 1):
        yield row
        if number % 10_000 == 0:
            tell(table.name, number)
    tell(table.name, number)


def differing(one: Figures, other: Figures) -> list[str]:
    """The tables whose figures differ."""
    return [table.name for table in TABLES if one[table.name] != other[table.name]]
