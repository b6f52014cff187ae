"""A provider's rates that nobody configured, as it teaches them. Pure.

By its headers, as soon as a tenth of a window or less is left; where it sends none, by how many
calls it served between two throttlings. Instants are arguments, in nanoseconds of the ledger's
clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from prefect_governor.blocks.limits.adaptive import CALM_NS, WIDTH, index_of
from prefect_governor.blocks.limits.rates import RateMeter, amount_of
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import Meter, Rate, RateReading

Source = Literal["headers", "throttling"]

SECOND = 10**9
# Providers count by the second, by ten seconds or by the minute; what takes longer to come back is
# a quota of a day, which a hold serves better than a rate.
WINDOWS = (1, 10, 60)
# A reset is told a little late or early.
TOLERANCE = 1.05
# A reading counts once no more than this share of the limit is left: only then its reset tells the
# window, whichever way the provider counts.
LOW_SHARE = 0.1
# A 429 is about a rate of which no more than this share is left.
SPENT_SHARE = 0.02
# Without headers, a 429 is about a rate where one was learned before, or so many calls were refused
# at once, or it is the second episode within two minutes and asks for a hold this long (an
# overloaded provider says a second) or comes at a cap so low that fewer at once are no remedy.
REFUSED_AT_ONCE = 3
LONG_HOLD_SECONDS = 5.0
LOWEST_CAP = 2
# What one throttling may take from a rate that was learned from another.
LEAST_KEPT, MOST_KEPT = 0.5, 0.9
# After a minute without throttling a rate learned from throttling is probed, by a call at a time.
# Where a tenth more was served for a whole window, it is not the limit: it is forgotten.
PROBE_SHARE = 0.1
# Where it turns out to have been the limit all the same, give or take what a bucket had saved up
# meanwhile, it is taken up again; above so many times of it, the provider has another limit now.
SAME_TIMES = 1.5


@dataclass
class LearnedRate:
    """One rate, how it was learned and since when; `longest_reset` by the readings, in seconds.

    `probed_from`, `probed` and `probing`: since when calls above it are tried, how many were
    served, and the instant (`adaptive.index_of`) of one that is not answered yet.
    """

    meter: RateMeter
    source: Source
    since: int
    longest_reset: float = 0.0
    probed_from: int = 0
    probed: int = 0
    probing: int | None = None

    @property
    def probes(self) -> int:
        """How many calls above the rate are tried in a window."""
        return max(1, int(self.meter.rate.amount * PROBE_SHARE))


@dataclass
class LearnedRates:
    """What was learned of a provider's rates, and what it served lately.

    Attributes:
        rates: by meter.
        served: requests by the second they were admitted in, of the last minute.
        from_: since when they count: the first call, or the end of the last hold.
        until: the end of the hold of the last throttling.
        refused: calls of the last throttling that were refused.
        forgotten: requests a second of the rate that was forgotten last, 0.0 for none.
        throttled_at: when it began, 0 for never; `repeated`: within two minutes of another.
    """

    rates: dict[Meter, LearnedRate] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)
    from_: int = 0
    until: int = 0
    refused: int = 0
    forgotten: float = 0.0
    throttled_at: int = 0
    repeated: bool = False

    def wait(self, bound: Bound, now: int) -> tuple[Rate, int] | None:
        """The rate that a call does not fit into now, and the instant from which it does."""
        longest: tuple[Rate, int] | None = None
        for each in self.rates.values():
            rate = each.meter.rate
            until = each.meter.wait_until(amount_of(rate, bound), now)
            if until is None or self._may_probe(each, now):
                continue
            if longest is None or until > longest[1]:
                longest = rate, until
        return longest

    def take(self, bound: Bound, now: int) -> None:
        """A call was let through."""
        self.from_ = self.from_ or now
        oldest = now // SECOND - 60
        if len(self.served) > 60:
            self.served = {at: count for at, count in self.served.items() if at >= oldest}
        self.served[now // SECOND] = self.served.get(now // SECOND, 0) + 1
        for each in self.rates.values():
            amount = amount_of(each.meter.rate, bound)
            if each.meter.wait_until(amount, now) is not None and self._may_probe(each, now):
                each.probing = index_of(now)
            each.meter.take(amount, now)

    def correct(self, index: int, bound: Bound, usage: Usage) -> None:
        """What a call that was let through at `index` has really used."""
        for each in self.rates.values():
            rate, meter = each.meter.rate, each.meter
            if rate.meter == "requests":
                continue
            counter = _counter(meter, index)
            if counter is not None:
                meter.correct(counter, amount_of(rate, usage) - amount_of(rate, bound))

    def delay(self, index: int, figures: Bound | Usage, seconds: float) -> None:
        """A call that was let through at `index` reached the provider so much later."""
        for each in self.rates.values():
            counter = _counter(each.meter, index)
            if counter is not None:
                each.meter.delay(counter, amount_of(each.meter.rate, figures), seconds)

    def ended(self, index: int, now: int, *, served: bool) -> None:
        """A call that was let through at `index` was served, or was not."""
        for meter, each in list(self.rates.items()):
            if each.probing == index:
                each.probing = None
                each.probed += served
            if not each.probed_from or now - each.probed_from < _window_ns(each):
                continue
            if each.probed >= each.probes:
                # Its whole window was full, and a tenth more was served.
                rate = each.meter.rate
                self.forgotten = rate.amount / rate.window_seconds
                del self.rates[meter]
                continue
            if each.probed:
                _resize(each, each.meter.rate.amount + each.probed)
            each.probed_from, each.probed, each.probing = now, 0, None

    def read(self, readings: Sequence[RateReading], now: int, *, whole: bool = False) -> None:
        """A reply's headers say so. Of the `whole` headers of a call that was served: what was
        learned of headers that are not among them any more does not hold any more."""
        if whole:
            told = {reading.meter for reading in readings}
            for meter, each in list(self.rates.items()):
                if each.source == "headers" and meter not in told:
                    del self.rates[meter]
        for reading in readings:
            known = self.rates.get(reading.meter)
            reset, remaining = reading.reset_seconds, reading.remaining
            longest = reset or 0.0
            if known is not None and known.source == "headers":
                longest = max(longest, known.longest_reset)
                known.longest_reset = longest
                if known.meter.rate.amount != reading.limit:
                    _resize(known, reading.limit)
                self._check_window(known, now)
            elif (
                remaining is not None
                and reset is not None
                and remaining <= LOW_SHARE * reading.limit
            ):
                full_in = reset * reading.limit / max(1, reading.limit - remaining)
                window = _standard(max(longest, full_in))
                if window is not None:
                    self._learn(reading.meter, reading.limit, window, "headers", now)
                    self.rates[reading.meter].longest_reset = longest

    def throttled(
        self, readings: Sequence[RateReading], bound: Bound, now: int, hold_seconds: float,
        *, new: bool, cap: int | None = None,
    ) -> bool:  # fmt: skip
        """A 429 came, of a new episode or of the last, under the adaptive `cap`. False where it
        says that it is not about a rate: then it is the calls at once that were too many."""
        self.read(readings, now)
        if new:
            self.repeated = self.throttled_at > 0 and now - self.throttled_at < 2 * CALM_NS
            if self.until:
                self.from_ = min(self.until, now)
            self.throttled_at, self.refused = now, 0
        self.refused += 1
        self.until = max(self.until, now + int(hold_seconds * SECOND))
        for each in self.rates.values():
            each.probed_from, each.probed, each.probing = 0, 0, None
        if readings:
            return any(_is_spent(reading, bound) for reading in readings)
        no_remedy = cap is not None and cap <= LOWEST_CAP
        if (
            self.forgotten
            or "requests" in self.rates
            or self.refused >= REFUSED_AT_ONCE
            or (self.repeated and (hold_seconds >= LONG_HOLD_SECONDS or no_remedy))
        ):
            self._observe(now)
        return True

    def refuse(self, index: int) -> None:
        """A call that was let through at `index` was refused: it was not served."""
        second = index * WIDTH // SECOND
        if self.served.get(second):
            self.served[second] -= 1

    def _observe(self, now: int) -> None:
        """The rate at which calls were served from one reopening to the next."""
        start = max(self.from_, self.until - 60 * SECOND)
        span = max(SECOND, self.until - start)
        served = sum(count for at, count in self.served.items() if at >= start // SECOND)
        window = min(60, max(1, -(-span // SECOND)))
        amount = max(1, served * window * SECOND // span)
        known = self.rates.get("requests")
        if known is not None and known.source == "headers":
            return
        if known is None and amount < SAME_TIMES * self.forgotten * window:
            amount = max(1, int(self.forgotten * window))
        if known is not None and self.refused == 1:
            rate = known.meter.rate
            before = rate.amount * window / rate.window_seconds
            amount = max(1, int(min(max(amount, LEAST_KEPT * before), MOST_KEPT * before)))
        self._learn("requests", amount, window, "throttling", now)

    def _learn(self, meter: Meter, amount: int, window: int, source: Source, now: int) -> None:
        of = RateMeter(Rate(meter, amount, window))
        if meter == "requests":
            oldest = (now - window * SECOND) // SECOND
            for second, count in self.served.items():
                if count and second >= oldest:
                    at = of.index(min((second + 1) * SECOND - 1, now))
                    of.taken[at] = of.taken.get(at, 0) + count
        self.rates[meter] = LearnedRate(of, source, now)

    def _check_window(self, known: LearnedRate, now: int) -> None:
        """Its window is at least as long as its longest reset, and after a minute no longer."""
        rate = known.meter.rate
        window = _standard(known.longest_reset)
        if window is None:
            del self.rates[rate.meter]
            return
        if window < rate.window_seconds:
            if now - known.since < CALM_NS:
                return
            window = max(1, -(-int(known.longest_reset * 1000) // 1000))
        if window != rate.window_seconds:
            longest = known.longest_reset
            self._learn(rate.meter, rate.amount, window, "headers", now)
            self.rates[rate.meter].longest_reset = longest

    def _may_probe(self, each: LearnedRate, now: int) -> bool:
        if each.source == "headers" or now - max(each.since, self.throttled_at) < CALM_NS:
            return False
        each.probed_from = each.probed_from or now
        return each.probing is None and each.probed < each.probes


def _counter(meter: RateMeter, index: int) -> int | None:
    """The counter that holds a call which was let through at `index`."""
    first, last = meter.index(index * WIDTH), meter.index((index + 1) * WIDTH - 1)
    return next((at for at in range(first, last + 1) if at in meter.taken), None)


def _window_ns(each: LearnedRate) -> int:
    return each.meter.rate.window_seconds * SECOND


def _resize(each: LearnedRate, amount: int) -> None:
    rate = each.meter.rate
    each.meter.rate = Rate(rate.meter, amount, rate.window_seconds)


def _standard(seconds: float) -> int | None:
    """The window that a reset of so many seconds belongs to; None for a quota of a day."""
    return next((window for window in WINDOWS if seconds <= window * TOLERANCE), None)


def _is_spent(reading: RateReading, bound: Bound) -> bool:
    left = reading.remaining
    if left is None:
        return False
    return left <= SPENT_SHARE * reading.limit or left < amount_of(Rate(reading.meter, 1), bound)
