"""The adaptive cap: how many calls at once a provider was found to serve. Pure.

Additive increase, multiplicative decrease. Instants are arguments, in nanoseconds of the ledger's
clock.

Where the figures come from: DataDesigner takes a quarter off a 429 and adds 1 for 25 successes,
Inspect takes a fifth off and adds a twentieth; a window of as many successes as the cap is what TCP
adds 1 for, and follows a provider of any speed.
"""

from dataclasses import dataclass
from typing import Literal

Cause = Literal["throttling", "errors", "latency", "memory"]

# What is left of the calls in flight after a cut.
KEPT: dict[Cause, float] = {"throttling": 0.75, "errors": 0.75, "latency": 0.8, "memory": 0.75}
# P14: at most one throttling episode a minute, so what is known to be too much is tried once in it.
CALM_NS = 60 * 10**9
# A call's instant is kept to this precision: a counter of a rate of a minute (see `rates`).
WIDTH = 250_000_000
# Over how many calls the latency and the share of 5xx are averaged, and how many make a judgement.
LATENCY_CALLS = 16
ERROR_CALLS = 10
LATENCY_LEAST_CALLS = 2 * LATENCY_CALLS
# Latency has risen where its average is so many times the best average, and so much above it: an
# answer of a language model takes long because it is long, too.
LATENCY_TIMES = 2.5
LATENCY_ABOVE_SECONDS = 1.0
# A cut has helped where latency fell by a tenth; else it is the calls that have become longer.
LATENCY_HELPED = 0.9
# More than this share of the last calls answered with a 5xx is a burst of them.
ERROR_SHARE = 0.5


def index_of(now: int) -> int:
    """An instant as it is kept with a call."""
    return now // WIDTH


@dataclass
class AdaptiveCap:
    """What was learned of a provider's concurrency.

    Attributes:
        cap: calls that may be in flight; None where nothing was learned, so nothing is held back.
            Never below 1. What a person configured stays the maximum: the smaller holds.
        proven: the most that is known to have been served at once.
        successes: calls served since the cap last changed.
        filled: the cap was reached since then, so those successes say something of it.
        cut_at: when it was last cut; a call that was in flight then belongs to that episode.
        throttled_at: when the last throttling episode began, 0 for never.
        at_cut: calls in flight when it was last cut.
        refused: of these, how many were refused.
        cause: why it was last cut.
    """

    cap: int | None = None
    proven: int = 0
    successes: int = 0
    filled: bool = False
    cut_at: int = 0
    throttled_at: int = 0
    at_cut: int = 0
    refused: int = 0
    cause: Cause | None = None
    failing: float = 0.0
    latency: float | None = None
    best_latency: float | None = None
    latency_calls: int = 0
    latency_at_cut: float | None = None

    def admitted(self, in_flight: int) -> None:
        """A call was let through; with it so many are in flight."""
        if self.cap is not None and in_flight >= self.cap:
            self.filled = True

    def belongs(self, index: int) -> bool:
        """Whether a call admitted at `index` was in flight when the cap was last cut."""
        return self.cut_at > 0 and index <= index_of(self.cut_at)

    def succeeded(self, index: int, now: int, in_flight: int, seconds: float | None) -> None:
        """A call was served in so long. `in_flight` counts it."""
        self.failing -= self.failing / ERROR_CALLS
        if self.belongs(index):
            return
        if seconds is not None and self._rose(seconds):
            self.latency_at_cut = self.latency
            self._cut("latency", now, in_flight)
            return
        self.successes += 1
        if self.cap is None or not self.filled or self.successes < self.cap:
            return
        self.proven = max(self.proven, self.cap)
        if self.cap < self.proven or self.is_calm(now):
            self.cap += 1
        self.successes, self.filled = 0, False

    def throttled(self, index: int, now: int, in_flight: int) -> None:
        """A call was refused with a 429. `in_flight` counts it."""
        if not (self.belongs(index) and self.cause == "throttling"):
            self._cut("throttling", now, in_flight)
            self.throttled_at, self.refused = now, 0
        self.refused += 1
        # Of those in flight, the ones that are not refused are what is served at once. Where all
        # are, it says nothing of how many would be.
        served = self.at_cut - self.refused
        if served > 0 and self.cap is not None:
            self.cap = min(self.cap, served)
            self.proven = min(self.proven, served)

    def failed(self, index: int, now: int, in_flight: int) -> None:
        """A call was answered with a 5xx. `in_flight` counts it."""
        if self.belongs(index):
            return
        self.failing += (1.0 - self.failing) / ERROR_CALLS
        if self.failing > ERROR_SHARE:
            self._cut("errors", now, in_flight)

    def pressed(self, now: int, in_flight: int) -> None:
        """The memory of those who make the calls runs out; a cut each second at the most."""
        if now - self.cut_at >= 10**9:
            self._cut("memory", now, in_flight)

    def is_calm(self, now: int) -> bool:
        """No throttling for a minute: more than what is proven may be tried."""
        return not self.throttled_at or now - self.throttled_at >= CALM_NS

    def _cut(self, cause: Cause, now: int, in_flight: int) -> None:
        high = in_flight if self.cap is None else min(self.cap, in_flight)
        self.cap = max(1, int(high * KEPT[cause]))
        # Of throttling it is known that so many were one too many; of the rest, that they were not.
        self.proven = max(1, high - 1 if cause == "throttling" else high)
        self.at_cut, self.cut_at, self.cause = in_flight, now, cause
        self.successes, self.filled, self.failing = 0, False, 0.0
        self.latency_calls = 0

    def _rose(self, seconds: float) -> bool:
        """Count a call's latency. Whether it has risen so that the cap is to be cut."""
        if self.latency is None:
            self.latency = seconds
        self.latency += (seconds - self.latency) / LATENCY_CALLS
        self.latency_calls += 1
        if self.latency_calls < LATENCY_LEAST_CALLS:
            return False
        if self.best_latency is None or self.latency < self.best_latency:
            self.best_latency = self.latency
        best, before = self.best_latency, self.latency_at_cut
        if self.latency < LATENCY_TIMES * best or self.latency < best + LATENCY_ABOVE_SECONDS:
            self.latency_at_cut = None
            return False
        if before is not None and self.latency > LATENCY_HELPED * before:
            self.best_latency, self.latency_at_cut = self.latency, None
            return False
        return True
