"""Draws one ceiling of a budget's window for this machine, and gives back what is not spent."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from prefect_governor.blocks.draws.counter import Counter, CounterLost, SwitchedOff
from prefect_governor.blocks.draws.holding import Held, Holding, Marks
from prefect_governor.blocks.draws.plan import PARTS, Landed, View, landed, step
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.drawn import (
    ASKED,
    ELSEWHERE,
    GRANTED,
    LOST,
    RETURNING,
    SEEN,
    WANTED,
)

# Without a call for so long, in seconds, what is spare goes back.
IDLE_SECONDS = 5.0
# How often the counter is looked at while calls are made, and while none is, in seconds.
LOOK_SECONDS = 4.0
IDLE_LOOK_SECONDS = 60.0
# After so long without a call, in seconds, a window is not looked at until there is one.
DONE_SECONDS = 600.0


class Drawer:
    """Used by one thread of the one process of the machine that is elected for it."""

    def __init__(self, holding: Holding, counter: Counter, *, now: Callable[[], Instant]) -> None:
        self._holding = holding
        self._counter = counter
        self._now = now
        # Whether the server's own count of the machine is to be looked up: at first it is.
        self._unsure = True
        self._used: int | None = None
        self._ceiling: int | None = None
        self._busy_until = now().boot
        self._looked: int | None = None
        # Less than this that is spare is time to draw ahead.
        self._low = 0
        # Until when a counter that is lost is not asked for.
        self._resting: int | None = None

    def tick(self) -> None:
        """Draw or give back what is to be now. Raises ServerAway, CounterLost."""
        self._guarded(closing=False)

    def close(self) -> None:
        """Give back what is spare."""
        self._guarded(closing=True)

    @property
    def done(self) -> bool:
        """Whether nothing was asked of it for long."""
        idle = self._now().boot - self._busy_until
        return self._resting is None and idle > DONE_SECONDS * 1e9

    def _guarded(self, *, closing: bool) -> None:
        """A counter that is lost is looked at now and then; meanwhile nobody waits for it."""
        if self._resting is not None and self._now().boot < self._resting:
            return
        try:
            self._tick(closing=closing)
            self._resting = None
        except CounterLost as error:
            self._resting = self._now().boot + int(LOOK_SECONDS * 1e9)
            self._holding.change(lambda marks: marks.put(LOST, 1))
            if isinstance(error, SwitchedOff):
                # Where there is no counter of its own, it has drawn nothing.
                with suppress(CounterLost):
                    self._doubt()
            raise

    def _tick(self, *, closing: bool) -> None:
        held = self._holding.read()
        if held is None:
            return
        now = self._now().boot
        # What is spare at first was drawn by a process before this one; its next calls may come.
        first = self._used is None and held.spare > 0
        if first or held.wanted or self._used not in (None, held.used):
            self._busy_until = now + int(IDLE_SECONDS * 1e9)
        self._used = held.used
        busy = now < self._busy_until and not closing
        if not self._due(held, busy, now):
            return
        active = self._counter.look(held.name, held.ceiling, drawn=held.granted > 0)
        granted = held.granted
        if self._unsure:
            granted = self._sure()
            # What arrived late may have risen both in between.
            active = self._counter.active()
        if active * self._counter.unit < granted:
            raise CounterLost(
                "Prefect's limit that counts what all machines have drawn says less than this one"
                " has: somebody lowered its active slots; nothing more is drawn here in this window"
            )
        view = View(held.ceiling, granted, held.used, held.wanted, busy, self._counter.unit, active)
        todo = step(view)
        if todo.draw:
            view = self._draw(view, todo.draw)
        elif todo.give_back:
            view = self._give_back(view, todo.give_back)
        self._say(view)
        self._low = view.free * view.unit // (2 * PARTS)
        self._looked, self._ceiling = self._now().boot, held.ceiling

    def _due(self, held: Held, busy: bool, now: int) -> bool:
        """Whether the server is to be asked."""
        if held.wanted or held.spare < 0 or self._resting is not None:
            return True
        if self._looked is None:
            # Nobody asks for a budget that no call was made under.
            return busy or held.spare >= self._counter.unit
        if held.ceiling != self._ceiling or held.spare < self._low * busy:
            return True
        if not busy and held.spare >= self._counter.unit:
            return True
        return now - self._looked >= (LOOK_SECONDS if busy else IDLE_LOOK_SECONDS) * 1e9

    def _say(self, view: View) -> None:
        """What this machine may come to, for all of its processes: who waits is asked again."""

        def say(marks: Marks) -> int:
            reach = marks.granted + view.free * view.unit
            marks.put(ELSEWHERE, max(0, view.ceiling - reach))
            marks.put(SEEN, marks.now)
            marks.put(LOST, 0)
            return marks.put(WANTED, 0)

        self._holding.change(say)

    def _sure(self) -> int:
        """What the server counts for this machine is what it has drawn. Returns that."""
        counted = self._counter.own()
        unit = self._counter.unit

        def claim(marks: Marks) -> int:
            now = landed(counted, unit, Landed(marks.granted, marks.returning, marks.asked))
            marks.put(RETURNING, now.returning)
            marks.put(ASKED, now.asked)
            marks.put(GRANTED, now.granted)
            return now.foreign

        if self._holding.change(claim):
            raise CounterLost(
                "Prefect's limit that counts what this machine has drawn says more than it asked"
                " for: its ledger is a copy of another machine's, or one of before that was drawn;"
                " nothing more is drawn here in this window. A machine needs a PREFECT_HOME that"
                " none has worked with"
            )
        held = self._holding.read()
        granted = 0 if held is None else held.granted
        if counted * unit < granted:
            raise CounterLost(
                "Prefect's limit that counts what this machine has drawn says less than that:"
                " somebody edited it, or a backup was restored; nothing more is drawn here in this"
                " window"
            )
        self._unsure = False
        return granted

    def _doubt(self) -> None:
        """The machine's own counter may have risen while the other did not count: what it has more
        than the ledger is never taken for drawn."""
        self._unsure = True
        counted = self._counter.own() * self._counter.unit

        def keep(marks: Marks) -> int:
            return marks.put(RETURNING, max(marks.returning, counted - marks.granted))

        self._holding.change(keep)

    def _draw(self, view: View, units: int) -> View:
        self._unsure = True
        amount = units * view.unit
        # Before it is drawn: only what was asked for is ever taken for a draw of this ledger's.
        self._holding.change(lambda marks: marks.add(ASKED, amount))
        risen = self._counter.rise(units)
        # It is on before and after: what rose was counted.
        view = replace(view, active=self._counter.active())

        def known(marks: Marks) -> int:
            marks.add(ASKED, -amount)
            return marks.add(GRANTED, amount if risen else 0)

        view = replace(view, granted=self._holding.change(known))
        self._unsure = False
        return view

    def _give_back(self, view: View, units: int) -> View:
        """It leaves the ledger before it leaves the server, so nothing is spent of it meanwhile;
        and it is asked for once, whatever becomes of the reply."""
        unit = view.unit

        def leave(marks: Marks) -> int:
            left = min(units, max(0, marks.granted - marks.used) // unit)
            marks.add(GRANTED, -left * unit)
            marks.add(RETURNING, left * unit)
            return left

        left = self._holding.change(leave)
        if left:
            self._unsure = True
            self._counter.fall(left)
            # The reply does not say that both were on: that is looked up.
            view = replace(view, granted=self._sure(), active=self._counter.active())
        return view
