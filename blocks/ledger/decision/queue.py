"""Who waits in this process: in lines, each first come, first served; the lines by turns. Pure."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.admission import Wait
from prefect_governor.blocks.ledger.decision.purse import PurseKey, is_allocation
from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.blocks.machine.strands import Strand
from prefect_governor.blocks.records.calls import Admission, Demand

# Budgets, limits, and whether its calls are only observed.
Lane = tuple[tuple[str, ...], tuple[str, ...], bool]
# A lane, a priority and a run.
Line = tuple[Lane, int, str | None]
# Where a head stands in the order in which heads are asked.
Turn = tuple[bool, int, int, int]

# The keys of limits that let one in at a time begin so.
EXCLUSIVE_PREFIX = "exclusive/"


@dataclass
class Waiter:
    """A call that waits to be admitted, holding nothing. Instants are on the boot's clock.

    Attributes:
        until: when its patience for the queue ends; the time it was paused does not count.
        pause: how long it waits for money at most, in nanoseconds; 0 to be refused at once.
        paused_until: when it is over budget for good, set when it first was.
        paused_at: since when it is paused now.
        paused_for: the budget that it was paused for.
        known: whether the ledger was asked for its id, and did not have it.
        doubtful: it was admitted by a transaction that failed and may have been kept all the same.
        first_at: since when it is the first of its line; 0 where it never was.
        place: counts those that became first, so that no two have the same turn.
        kept: what its share is kept of for it, as it has been passed for long enough.
        strand: who asked.
        stop: what ends its wait with a refusal, once that is set.
    """

    demand: Demand
    future: "Future[Admission]"
    since: int
    until: int | None = None
    wait: Wait | None = None
    pause: int = 0
    paused_until: int | None = None
    paused_at: int | None = None
    paused_for: PurseKey | None = None
    known: bool = False
    doubtful: bool = False
    first_at: int = 0
    place: int = 0
    kept: frozenset[str] = frozenset()
    strand: Strand | None = None
    stop: Stop | None = None

    @property
    def turn(self) -> Turn:
        """The smallest is asked first: of the highest priority, whoever is first for longest. Those
        that are only observed come last, as they take what is not there."""
        return self.demand.observe, -self.demand.priority, self.first_at, self.place


class Queue:
    """The calls that wait, in lines of those of one run and priority that ask for the same.

    Within a line the first is asked first. Between lines they take turns: whose first was admitted
    stands behind all others, however many more it has. Calls that are paused for money stand aside:
    they hold up nobody.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[Line, OrderedDict[str, Waiter]] = OrderedDict()
        self._paused: OrderedDict[str, Waiter] = OrderedDict()
        self._line_of: dict[str, Line] = {}
        self._timed: OrderedDict[str, Waiter] = OrderedDict()
        self._places = itertools.count()

    def __len__(self) -> int:
        """How many wait in lines."""
        return len(self._line_of)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._line_of or call_id in self._paused

    def add(self, waiter: Waiter, *, first: bool = False) -> None:
        """At the end of its line, or before all others in it."""
        key = line_of(waiter.demand)
        call_id = waiter.demand.call_id
        line = self._lines.setdefault(key, OrderedDict())
        line[call_id] = waiter
        if first:
            line.move_to_end(call_id, last=False)
        if first or len(line) == 1:
            # One that stood first before and comes back has its turn still.
            self._becomes_first(waiter, waiter.first_at or waiter.since)
        self._line_of[call_id] = key
        if waiter.until is not None:
            self._timed[call_id] = waiter

    def remove(self, call_id: str, *, served_at: int | None = None) -> Waiter | None:
        """Take one out, wherever it stands. Where it was admitted, at `served_at`, its line has had
        its turn; otherwise who stands behind it takes its place."""
        paused = self._paused.pop(call_id, None)
        key = self._line_of.pop(call_id, None)
        if paused is not None or key is None:
            return paused
        self._timed.pop(call_id, None)
        line = self._lines[key]
        was_first = next(iter(line)) == call_id
        waiter = line.pop(call_id)
        if not line:
            del self._lines[key]
        elif was_first:
            after = next(iter(line.values()))
            turn = waiter.first_at if served_at is None else served_at
            self._becomes_first(
                after, after.since if in_order(after.demand) else max(turn, after.since)
            )
        return waiter

    def _becomes_first(self, waiter: Waiter, since: int) -> None:
        waiter.first_at, waiter.place = since, next(self._places)

    def pause(self, waiter: Waiter, now: int) -> None:
        """Step aside until there is money."""
        self.remove(waiter.demand.call_id)
        waiter.paused_at = now
        if waiter.paused_until is None:
            waiter.paused_until = now + waiter.pause
        self._paused[waiter.demand.call_id] = waiter

    def resume(self, waiter: Waiter, now: int) -> None:
        """There is money: back to the head of its line, where it waits for what else is short."""
        self.remove(waiter.demand.call_id)
        if waiter.until is not None and waiter.paused_at is not None:
            waiter.until += now - waiter.paused_at
        waiter.paused_at = None
        self.add(waiter, first=True)

    def heads(self) -> list[Waiter]:
        """The first of each line, in the order in which they are asked."""
        firsts = [next(iter(line.values())) for line in self._lines.values()]
        if len(firsts) > 1:
            firsts.sort(key=lambda waiter: waiter.turn)
        return firsts

    def head(self, demand: Demand) -> Waiter | None:
        """The first of the line that a call belongs to."""
        line = self._lines.get(line_of(demand))
        return next(iter(line.values())) if line else None

    def behind(self, waiter: Waiter) -> int:
        """How many stand in a waiter's line, itself too."""
        return len(self._lines.get(line_of(waiter.demand), ()))

    def paused(self) -> list[Waiter]:
        """Those that wait for money, in the order in which they stepped aside."""
        return list(self._paused.values())

    def shown(self) -> list[Waiter]:
        """One of each kind that waits: the heads, and the first paused one of each kind."""
        firsts: dict[Line, Waiter] = {}
        for waiter in self._paused.values():
            firsts.setdefault(line_of(waiter.demand), waiter)
        return [*self.heads(), *firsts.values()]

    def waiters(self) -> Iterator[Waiter]:
        """All that wait in lines."""
        for line in self._lines.values():
            yield from line.values()

    def timed(self) -> list[Waiter]:
        """Those in lines whose patience ends some time."""
        return list(self._timed.values())

    def everybody(self) -> list[Waiter]:
        """All that wait, paused ones as well."""
        return [*self.waiters(), *self._paused.values()]

    def place(self, call_id: str) -> int | None:
        """A waiter's place in its line, from 1."""
        key = self._line_of.get(call_id)
        return None if key is None else list(self._lines[key]).index(call_id) + 1

    def by_limit(self) -> dict[str, int]:
        """How many wait under each limit. Who is paused for money needs no slot yet."""
        counts: dict[str, int] = {}
        for ((_, limits, _), _, _), line in self._lines.items():
            for key in limits:
                counts[key] = counts.get(key, 0) + len(line)
        return counts


def lane_of(demand: Demand) -> Lane:
    """Those of one lane ask for the same."""
    return demand.accounts, demand.limits, demand.observe


def line_of(demand: Demand) -> Line:
    """Those of one line wait in one line."""
    run = None if in_order(demand) else demand.run
    return lane_of(demand), demand.priority, run


def in_order(demand: Demand) -> bool:
    """Whether it is served strictly in the order of asking, whatever run it belongs to: what only
    one may hold at a time."""
    return any(key.startswith(EXCLUSIVE_PREFIX) for key in demand.limits)


def needs(demand: Demand) -> tuple[str, ...]:
    """What a call waits for in turn with others. Of money that is set aside for it, it need not
    leave anything to those who wait for what is free."""
    accounts = demand.accounts
    if accounts and is_allocation(accounts[0]):
        accounts = accounts[:1]
    return (*(f"purse:{key}" for key in accounts), *(f"gate:{key}" for key in demand.limits))
