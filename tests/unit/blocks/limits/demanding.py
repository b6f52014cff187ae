"""Callers that keep so many calls in flight as they may, and a provider that answers them, event by
event. For the adaptive cap."""

import heapq
import itertools
from collections.abc import Callable
from random import Random

from prefect_governor.blocks.limits.adaptive import AdaptiveCap, index_of

SECOND = 10**9
START = 10**15
# A call that fails does so at once.
FAILS_SECONDS = 0.1


class World:
    """`demand` calls are wanted at once. `latency` says how long a call takes, of the world as it
    is when that is sent, and `fails` how likely it is answered with a 5xx."""

    def __init__(
        self,
        *,
        demand: int,
        latency: Callable[["World"], float],
        seed: int = 0,
        fails: float = 0.0,
        output_tokens: int = 50,
    ) -> None:
        self.chance = Random(seed)
        self.demand, self.latency, self.fails = demand, latency, fails
        self.output_tokens = output_tokens
        self.cap = AdaptiveCap()
        self.now = START
        self.caps: list[int] = []
        self._open: list[tuple[int, int, int, float | None, bool]] = []
        self._ids = itertools.count()

    @property
    def in_flight(self) -> int:
        return len(self._open)

    @property
    def allowed(self) -> int:
        return min(self.demand, self.cap.cap or self.demand)

    def run(self, seconds: float) -> None:
        """`caps` holds the least that were allowed at once, second by second."""
        for _ in range(int(seconds)):
            self.caps.append(self.until(self.now + SECOND))

    def stall(self, share: float, seconds: float, *, seen: bool) -> None:
        """Of the calls in flight this share end so much later, as their process stands still.
        Where that is `seen`, what they took teaches nothing."""
        stalled = self._open[: int(share * len(self._open))]
        late = int(seconds * SECOND)
        self._open = self._open[len(stalled) :] + [
            (at + late, number, index, None if seen or took is None else took + seconds, failed)
            for at, number, index, took, failed in stalled
        ]
        heapq.heapify(self._open)

    def until(self, end: int) -> int:
        """Run to this instant. Returns the least that were allowed at once."""
        self._fill()
        least = self.allowed
        while self._open and self._open[0][0] <= end:
            self.now, _, index, took, failed = self._open[0]
            in_flight = len(self._open)
            heapq.heappop(self._open)
            if failed:
                self.cap.failed(index, self.now, in_flight)
            else:
                self.cap.succeeded(index, self.now, in_flight, took, self.output_tokens)
            least = min(least, self.allowed)
            self._fill()
        self.now = end
        return least

    def _fill(self) -> None:
        while len(self._open) < self.allowed:
            failed = self.chance.random() < self.fails
            took = FAILS_SECONDS if failed else self.latency(self)
            call = (
                self.now + int(took * SECOND),
                next(self._ids),
                index_of(self.now),
                took,
                failed,
            )
            heapq.heappush(self._open, call)
            self.cap.admitted(len(self._open))


def log_normal(median: float, spread: float) -> Callable[[World], float]:
    """Independent of whatever is in flight."""

    def latency(world: World) -> float:
        return median * world.chance.lognormvariate(0.0, spread)

    return latency


def saturated(median: float, spread: float, knee: Callable[[], int]) -> Callable[[World], float]:
    """As long as there are no more than `knee`; beyond it each takes longer, by how many there
    are."""

    def latency(world: World) -> float:
        over = max(1.0, (world.in_flight + 1) / knee())
        return over * median * world.chance.lognormvariate(0.0, spread)

    return latency
