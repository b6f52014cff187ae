"""The adaptive cap: how many calls at once a provider was found to serve. Pure.

Additive increase, multiplicative decrease. Instants are arguments, in nanoseconds of the ledger's
clock.

A 429 says that so many were one too many: what was learned of it holds, and is tried again by one
call at a time. Slow answers and a burst of 5xx only say that something is wrong just now: once it
is over, as many as before go within a few round trips, and where nobody ever throttled the cap is
gone. Where that brings the same again, the provider does have a limit there, and it is approached
step by step.
"""

from dataclasses import dataclass, field
from math import log
from typing import Literal

from prefect_governor.blocks.limits.pace import Pace

Cause = Literal["throttling", "errors", "latency"]

# What is left of the calls in flight after a cut.
KEPT = 0.75
# Slow answers say by how much there were too many: with fewer they are as fast as they were, give
# or take a fifth. What is left of the calls in flight then, at least and at most.
KEPT_SLOW, KEPT_SLOW_LEAST, KEPT_SLOW_MOST = 1.2, 0.5, 0.9
# Where with fewer they are faster by less than this part of that (of the logarithms), fewer calls a
# second are served than before, and nothing is won. By so many standard errors less is not known.
HELPED, HELPED_ERRORS = 0.6, 2.0
# P14: at most one throttling episode a minute, so what is known to be too much is tried once in it.
CALM_NS = 60 * 10**9
# A call's instant is kept to this precision: a counter of a rate of a minute (see `rates`).
WIDTH = 250_000_000
# More than this share of the last calls answered with a 5xx is a burst of them; of as many as are
# in flight, as a gateway that goes away takes some of them at once, and never of fewer than these.
ERROR_SHARE = 0.6
ERROR_CALLS = 20
# Where nobody throttled, the cap climbs by this part of itself, or by one.
STEP = 20
# After a cut for slow answers, so many times what was answered in time is tried next.
TRIED_TIMES = 1.5
# Trouble that comes again within ten minutes, once the cap came back halfway, by so many at least
# (of an outage a few are served), comes of that many calls.
AGAIN_NS = 10 * CALM_NS
LEAST_CLIMB = 4


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
        resume: up to how many it climbs with each call that is served, after a cut for anything
            but throttling.
        tried: up to how many of those it climbs before the next window of answers is judged, after
            a cut for slow ones.
        successes: calls served since the cap last changed.
        filled: the cap was reached since then, so those successes say something of it.
        cut_at: when it was last cut; a call that was in flight then belongs to that episode.
        throttled_at: when the last throttling episode began, 0 for never.
        at_cut: calls in flight when it was last cut.
        refused: of these, how many were refused.
        cause: why it was last cut.
        low: what the last cut left; `relapsed`: climbing from there brought trouble again.
        failing: the share of 5xx among the last calls.
        doubted: after a cut for slow answers, how slow they were, until it is known whether fewer
            at once are faster; `share`: what that cut left of them.
    """

    cap: int | None = None
    proven: int = 0
    resume: int = 0
    tried: int = 0
    successes: int = 0
    filled: bool = False
    cut_at: int = 0
    throttled_at: int = 0
    at_cut: int = 0
    refused: int = 0
    cause: Cause | None = None
    low: int = 0
    relapsed: bool = False
    failing: float = 0.0
    doubted: float | None = None
    share: float = 1.0
    pace: Pace = field(default_factory=Pace)

    def admitted(self, in_flight: int) -> None:
        """A call was let through; with it so many are in flight."""
        if self.cap is not None and in_flight >= self.cap:
            self.filled = True

    def belongs(self, index: int) -> bool:
        """Whether a call admitted at `index` was in flight when the cap was last cut."""
        return self.cut_at > 0 and index <= index_of(self.cut_at)

    def succeeded(
        self, index: int, now: int, in_flight: int, seconds: float | None, output_tokens: int = 0
    ) -> None:
        """A call was served; its answer began so many seconds after it was sent, None where that
        says nothing of the provider. `in_flight` counts it."""
        if self.belongs(index):
            return
        self.failing -= self.failing / max(ERROR_CALLS, in_flight)
        if seconds is not None and self.pace.add(seconds, output_tokens, in_flight):
            self._paced(now, in_flight)
            if self.belongs(index):
                return
        self.successes += 1
        if self.cap is None or self._is_slow():
            return
        if self.cap < self.resume:
            if self.cause != "latency" or self.cap < self.tried:
                self.cap += 1
        elif self.filled and self.successes >= self.cap:
            self._step(now)

    def throttled(self, index: int, now: int, in_flight: int) -> None:
        """A call was refused with a 429. `in_flight` counts it."""
        if not (self.belongs(index) and self.cause == "throttling"):
            high = self._high(in_flight)
            self._cut("throttling", now, in_flight, KEPT)
            # So many were one too many.
            self.proven, self.resume = max(1, high - 1), 0
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
        self.failing += (1.0 - self.failing) / max(ERROR_CALLS, in_flight)
        if self.failing > ERROR_SHARE:
            self._trouble("errors", now, in_flight, KEPT)

    def is_calm(self, now: int) -> bool:
        """No throttling for a minute: more than what is proven may be tried."""
        return not self.throttled_at or now - self.throttled_at >= CALM_NS

    def _is_slow(self) -> bool:
        """No more calls are tried: answers are slow, or it is not known yet that they are not."""
        return self.doubted is not None or (
            self.cause == "latency" and self.pace.verdict != "steady"
        )

    def _step(self, now: int) -> None:
        """As many calls as the cap were served since it was reached."""
        assert self.cap is not None
        self.successes, self.filled = 0, False
        if not self.throttled_at and not self.relapsed:
            # It is as it was before: nothing is known of a limit.
            self.cap = None
            return
        beyond = self.cap >= self.proven
        self.proven = max(self.proven, self.cap)
        step = max(1, self.cap // STEP)
        if not self.throttled_at:
            self.cap += step
        elif not beyond and self.cause != "throttling":
            self.cap = min(self.proven, self.cap + step)
        elif not beyond or self.is_calm(now):
            self.cap += 1

    def _paced(self, now: int, in_flight: int) -> None:
        """A window of answers has ended."""
        pace, before = self.pace, self.pace.verdict
        pace.judge()
        if self.doubted is not None:
            least = -log(self.share) * HELPED - HELPED_ERRORS * pace.error
            helped = self.doubted - pace.last >= least
            self.doubted = None
            if not helped:
                # They have become longer, and how many there are is not to blame, or not alone.
                pace.accept()
                if self.cap is not None:
                    self.cap = max(self.cap, self.resume)
                return
        if pace.verdict != "slow":
            pace.follow(held=self.cap is not None)
            if self.cap is not None:
                self.tried = max(self.cap + 1, int(self.cap * TRIED_TIMES))
        elif before == "slow":
            # The first window may be of a change that was under way.
            self.share = min(KEPT_SLOW_MOST, max(KEPT_SLOW_LEAST, KEPT_SLOW / pace.times))
            self._trouble("latency", now, in_flight, self.share)
            self.doubted = pace.last

    def _trouble(self, cause: Cause, now: int, in_flight: int, kept: float) -> None:
        """Something else than throttling says that these are too many just now."""
        high, before = self._high(in_flight), self.cap
        again = (
            self.cause in ("errors", "latency")
            and now - self.cut_at < AGAIN_NS
            and high >= min(self.resume, self.low + max(LEAST_CLIMB, self.low // 2))
        )
        self._cut(cause, now, in_flight, kept)
        assert self.cap is not None
        if again:
            self.relapsed, self.resume = True, self.cap
        elif before is None:
            self.proven = self.resume = high
        else:
            self.resume = max(self.resume, before)

    def _high(self, in_flight: int) -> int:
        """How many were in flight, of those that the cap let through."""
        return max(1, in_flight if self.cap is None else min(self.cap, in_flight))

    def _cut(self, cause: Cause, now: int, in_flight: int, kept: float) -> None:
        self.cap = self.low = max(1, int(self._high(in_flight) * kept))
        self.at_cut, self.cut_at, self.cause = in_flight, now, cause
        self.successes, self.filled, self.failing = 0, False, 0.0
        self.doubted = None
        self.pace.begin()
