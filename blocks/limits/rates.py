"""Rates as sliding windows. Pure: instants are arguments, in nanoseconds of the ledger's clock.

Whatever fits "at most N in any window" also fits a fixed window of the same length and a token
bucket that holds N, so one rule serves a provider whichever way it counts.
"""

from dataclasses import dataclass, field

from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import Rate

# A window is kept as this many counters. One expires late by at most 1/240 of the window, 0.4%.
BUCKETS = 240
# A call reaches the provider some time after it was admitted, one call later than another. What was
# taken counts for so much longer, in nanoseconds, and for one counter at the least.
MARGIN = 10**8


@dataclass
class RateMeter:
    """What was taken under one rate, by the counter it was taken in."""

    rate: Rate
    taken: dict[int, int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Nanoseconds that one counter stands for, rounded up: all of them span the window."""
        return -(-self.rate.window_seconds * 10**9 // BUCKETS)

    @property
    def margin(self) -> int:
        """How many counters longer than the window what was taken counts for."""
        return max(1, -(-MARGIN // self.width))

    @property
    def span(self) -> int:
        """How many counters what was taken counts for after its own."""
        return BUCKETS + self.margin

    def index(self, now: int) -> int:
        """The counter that an instant falls into."""
        return now // self.width

    def _oldest(self, now: int) -> int:
        return self.index(now) - self.span

    def used(self, now: int) -> int:
        """What still counts at `now`."""
        oldest = self._oldest(now)
        return sum(amount for index, amount in self.taken.items() if index >= oldest)

    def wait_until(self, amount: int, now: int) -> int | None:
        """The first instant at which `amount` fits, None where it fits now.

        An amount above the whole rate counts as the whole rate: an estimate must not wait forever
        for room that never comes.
        """
        need = min(amount, self.rate.amount)
        excess = self.used(now) + need - self.rate.amount
        if excess <= 0:
            return None
        oldest = self._oldest(now)
        for index in sorted(i for i in self.taken if i >= oldest):
            excess -= self.taken[index]
            if excess <= 0:
                return (index + self.span + 1) * self.width
        raise AssertionError("the rate is exceeded by nothing that was taken")

    def take(self, amount: int, now: int) -> int:
        """Count `amount` at `now`; returns the counter, for `correct`."""
        oldest = self._oldest(now)
        self.taken = {index: kept for index, kept in self.taken.items() if index >= oldest}
        index = self.index(now)
        self.taken[index] = self.taken.get(index, 0) + amount
        return index

    def delay(self, index: int, amount: int, seconds: float) -> None:
        """What a counter holds of a call reached the provider so long after it was counted, so it
        counts for so much longer. What the margin holds is no delay."""
        later = -(-max(0, int(seconds * 1e9) - MARGIN) // self.width)
        moved = min(amount, self.taken.get(index, 0))
        if later and moved:
            self.taken[index] -= moved
            self.taken[index + later] = self.taken.get(index + later, 0) + moved

    def correct(self, index: int, change: int) -> None:
        """Change what a counter holds once the true figure is known; gone is gone."""
        if index in self.taken:
            self.taken[index] = max(0, self.taken[index] + change)


def amount_of(rate: Rate, figures: Bound | Usage) -> int:
    """What a call counts under a rate."""
    if rate.meter == "requests":
        return 1
    if rate.meter == "tokens":
        return figures.tokens
    return figures.input_tokens if rate.meter == "input_tokens" else figures.output_tokens
