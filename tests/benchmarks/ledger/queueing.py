"""Processes that share one ledger, as queues: how many calls a second, how long an admission takes,
what is full first. Pure: discrete events in simulated seconds, the same for the same seed.

A process gathers what its calls ask for (to be admitted, to be settled) and takes all of it to the
ledger in one transaction. Transactions follow one another: the ledger has one lock, and who waits
for it gets it in turn. Outside of it the process answers its calls. Work takes a core; on one
machine processes share its cores evenly.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

# As `ledger.gathering`: so long, in seconds, for fewer than so many.
GATHER_SECONDS, ENOUGH = 0.002, 8
# Of what is used to so much of the time there is no more.
FULL = 0.9


@dataclass(frozen=True)
class Line:
    """Seconds that grow with what shares a transaction."""

    fixed: float
    each: float

    def at(self, shared_by: int) -> float:
        return self.fixed + self.each * shared_by


@dataclass(frozen=True)
class Costs:
    """What was measured of one process, in seconds.

    `held` is how long a transaction of so many requests holds the lock, of which `working` (0 to 1)
    takes a core and the rest waits for the disk; `apart` is the CPU that its process takes outside
    of the lock. `spread` are measured times of holding ÷ the line's. `round_trip` is what a network
    adds to each transaction while it holds the lock.
    """

    held: Line
    apart: Line
    working: float = 1.0
    spread: tuple[float, ...] = (1.0,)
    round_trip: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """So many processes, each with so many calls open, a call taking so many seconds between its
    admission and its end, half as many more or less. `cores` are those of the one machine that they
    share with the ledger's server; None where each has a machine, and the server one, of its own.
    """

    processes: int
    open_calls: int
    call_seconds: float = 0.0
    cores: int | None = None


@dataclass(frozen=True)
class Predicted:
    """`lock` is the share of the time in which the ledger's lock is held, `own` the share in which
    a process's ledger thread holds it or answers, `cores` what is used of the machine's."""

    pairs_a_second: float
    p50_seconds: float
    p99_seconds: float
    shared_by: float
    lock: float
    own: float
    cores: float | None

    @property
    def fullest(self) -> str:
        """What holds it back."""
        # Where cores are short, who holds the lock holds it for longer.
        found = [
            ("the machine's cores", self.cores or 0.0),
            ("the ledger's lock", self.lock),
            ("its ledger threads", self.own),
        ]
        return next((name for name, used in found if used >= FULL), "its calls")


def fitted(points: list[tuple[int, float]]) -> Line:
    """The line through the medians of what was measured by how many shared it; least squares,
    weighted by how often that was, and never falling."""
    by_size: dict[int, list[float]] = {}
    for shared_by, seconds in points:
        by_size.setdefault(shared_by, []).append(seconds)
    medians = [(size, statistics.median(found), len(found)) for size, found in by_size.items()]
    weight = sum(each for _, _, each in medians)
    mean_x = sum(size * each for size, _, each in medians) / weight
    mean_y = sum(seconds * each for _, seconds, each in medians) / weight
    spread = sum(each * (size - mean_x) ** 2 for size, _, each in medians)
    if not spread:
        return Line(mean_y, 0.0)
    slope = sum(each * (size - mean_x) * (y - mean_y) for size, y, each in medians) / spread
    slope = min(max(0.0, slope), mean_y / mean_x)
    return Line(mean_y - slope * mean_x, slope)


def predicted(
    costs: Costs, fleet: Fleet, *, seconds: float = 10.0, warm_up: float = 2.0, seed: int = 1
) -> Predicted:
    """What a fleet comes to in so many seconds after it has warmed up."""
    return _Simulation(costs, fleet, random.Random(seed)).run(seconds, warm_up)


class _Cores:
    """Work that shares cores evenly; with None everybody has one."""

    def __init__(self, events: _Events, cores: int | None) -> None:
        self._events = events
        self._cores = cores
        self._left: dict[int, tuple[float, Callable[[], None]]] = {}
        self._numbers = count()
        self._moved = 0.0
        self._turn = 0
        self.used = 0.0

    def work(self, seconds: float, then: Callable[[], None]) -> None:
        if self._cores is None:
            self._events.after(seconds, then)
            return
        self._move()
        self._left[next(self._numbers)] = (seconds, then)
        self._plan()

    def _speed(self) -> float:
        assert self._cores is not None
        return min(1.0, self._cores / len(self._left)) if self._left else 0.0

    def _move(self) -> None:
        passed = (self._events.now - self._moved) * self._speed()
        self._moved = self._events.now
        self.used += passed * len(self._left)
        self._left = {each: (left - passed, then) for each, (left, then) in self._left.items()}

    def _plan(self) -> None:
        self._turn += 1
        if self._left:
            turn, soonest = self._turn, min(left for left, _ in self._left.values())
            self._events.after(max(0.0, soonest) / self._speed(), lambda: self._end(turn))

    def _end(self, turn: int) -> None:
        if turn != self._turn:
            # More work came meanwhile.
            return
        self._move()
        done = [each for each, (left, _) in self._left.items() if left <= 1e-12]
        for then in [self._left.pop(each)[1] for each in done]:
            then()
        self._move()
        self._plan()


@dataclass
class _Events:
    now: float = 0.0
    _queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def after(self, seconds: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._numbers), then))

    def run(self, until: float) -> None:
        while self._queue and self._queue[0][0] <= until:
            self.now, _, then = heapq.heappop(self._queue)
            then()
        self.now = until


class _Simulation:
    def __init__(self, costs: Costs, fleet: Fleet, chance: random.Random) -> None:
        self.costs, self.fleet, self.chance = costs, fleet, chance
        self.events = _Events()
        self.cores = _Cores(self.events, fleet.cores)
        self.turns: deque[_Process] = deque()
        self.holder: _Process | None = None
        self.took: list[float] = []
        self.pairs = 0
        self.held = self.own = 0.0
        self.transactions = self.requests = 0

    def run(self, seconds: float, warm_up: float) -> Predicted:
        for _ in range(self.fleet.processes):
            process = _Process(self)
            # Nobody begins at one instant with all others.
            self.events.after(self.chance.random() * warm_up / 4, process.begin)
        self.events.run(warm_up)
        self.took, self.pairs, self.held, self.own = [], 0, 0.0, 0.0
        self.transactions = self.requests = 0
        used = self.cores.used
        self.events.run(warm_up + seconds)
        cuts = statistics.quantiles(self.took, n=100) if len(self.took) > 1 else [0.0] * 99
        cores = self.fleet.cores
        return Predicted(
            self.pairs / seconds,
            cuts[49],
            cuts[98],
            self.requests / max(1, self.transactions),
            self.held / seconds,
            self.own / seconds / self.fleet.processes,
            None if cores is None else (self.cores.used - used) / seconds / cores,
        )

    def ask(self, process: _Process) -> None:
        """For the lock."""
        self.turns.append(process)
        self._next()

    def release(self) -> None:
        self.holder = None
        self._next()

    def _next(self) -> None:
        if self.holder is None and self.turns:
            self.holder = self.turns.popleft()
            self.holder.hold()


class _Process:
    """One with its ledger thread: it rests, gathers, waits for the lock, holds it, answers."""

    def __init__(self, whole: _Simulation) -> None:
        self._whole = whole
        self._pending: list[tuple[str, float]] = []
        self._resting = True
        self._until = 0.0
        self._began = 0.0

    def begin(self) -> None:
        for _ in range(self._whole.fleet.open_calls):
            self._want("admit")

    def _want(self, what: str) -> None:
        self._pending.append((what, self._whole.events.now))
        if self._resting:
            self._resting = False
            self._gather()

    def _gather(self) -> None:
        now = self._whole.events.now

        def ask() -> None:
            self._began = self._whole.events.now
            self._whole.ask(self)

        self._whole.events.after(max(0.0, self._until - now), ask)

    def hold(self) -> None:
        """The lock is this process's: what came while it waited rides along."""
        whole, taken = self._whole, self._pending
        self._pending = []
        costs, since = whole.costs, whole.events.now
        held = costs.held.at(len(taken)) * whole.chance.choice(costs.spread)
        waits = held * (1 - costs.working) + costs.round_trip

        def end() -> None:
            whole.held += whole.events.now - since
            whole.own += whole.events.now - since
            whole.transactions += 1
            whole.requests += len(taken)
            whole.release()
            released = whole.events.now

            def answer() -> None:
                ended = whole.events.now
                whole.own += ended - released
                most = GATHER_SECONDS if len(taken) < ENOUGH else 0.0
                self._until = ended + min(ended - self._began, most)
                self._answer(taken)

            whole.cores.work(costs.apart.at(len(taken)), answer)

        whole.cores.work(held * costs.working, lambda: whole.events.after(waits, end))

    def _answer(self, taken: list[tuple[str, float]]) -> None:
        whole = self._whole
        # While it answers nothing else begins.
        for what, since in taken:
            if what == "settle":
                whole.pairs += 1
                self._pending.append(("admit", whole.events.now))
                continue
            whole.took.append(whole.events.now - since)
            if whole.fleet.call_seconds:
                # Calls of one length would come together for ever.
                seconds = whole.fleet.call_seconds * whole.chance.uniform(0.5, 1.5)
                whole.events.after(seconds, lambda: self._want("settle"))
            else:
                self._pending.append(("settle", whole.events.now))
        if self._pending:
            self._gather()
        else:
            self._resting = True
