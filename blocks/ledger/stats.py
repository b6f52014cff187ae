"""What the calls of each run in this process did: in flight, waited, held back by what."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prefect_governor.blocks.ledger.decision.queue import Waiter
from prefect_governor.blocks.records.calls import Demand


@dataclass
class RunStats:
    """A run's figures in this process. `held_seconds` is by bottleneck: how long the run's first
    waiting call was held by it. `place`: where its first waiting call stands among the first calls
    of all runs that wait for the same, from 1; None where none waits. `calls` counts those
    that were admitted."""

    in_flight: int = 0
    max_in_flight: int = 0
    waiting_for: str | None = None
    place: int | None = None
    throttled: int = 0
    calls: int = 0
    held_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))


class Tally:
    """The figures of all runs here, told by the desk as things happen."""

    def __init__(self) -> None:
        self._runs: dict[str | None, RunStats] = {}
        self._flying: dict[str, Demand] = {}
        # Calls in flight here, by limit.
        self.held: defaultdict[str, int] = defaultdict(int)
        self._told = 0

    def of(self, run: str | None) -> RunStats:
        """A run's figures; zeros for one that never called."""
        return self._runs.get(run) or RunStats()

    def took_off(self, demand: Demand) -> None:
        self._flying[demand.call_id] = demand
        for key in demand.limits:
            self.held[key] += 1
        stats = self._run(run_of(demand))
        stats.calls += 1
        stats.in_flight += 1
        stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)

    def landed(self, call_id: str) -> None:
        demand = self._flying.pop(call_id, None)
        if demand is None:
            return
        self._run(run_of(demand)).in_flight -= 1
        for key in demand.limits:
            self.held[key] -= 1
            if not self.held[key]:
                del self.held[key]

    def throttled(self) -> None:
        """The provider throttles whoever calls it now."""
        for stats in self._runs.values():
            if stats.in_flight:
                stats.throttled += 1

    def waited(self, heads: Iterable[Waiter], now: int) -> None:
        """Time went by while these stood first. `now` is on the boot's clock."""
        passed, self._told = (now - self._told) / 1e9 if self._told else 0.0, now
        for waiter in heads:
            if waiter.wait is not None:
                stats = self._run(run_of(waiter.demand))
                stats.held_seconds[waiter.wait.bottleneck] += passed

    def waiting(self, heads: Iterable[Waiter], places: Mapping[str, int]) -> None:
        """These stand first now, in these places by their ids."""
        for stats in self._runs.values():
            stats.waiting_for = stats.place = None
        for waiter in heads:
            if waiter.wait is not None:
                stats = self._run(run_of(waiter.demand))
                stats.waiting_for = waiter.wait.why
                stats.place = places.get(waiter.demand.call_id)

    def _run(self, run: str | None) -> RunStats:
        return self._runs.setdefault(run, RunStats())


def run_of(demand: Demand) -> str | None:
    """The run that a call belongs to."""
    return demand.run
