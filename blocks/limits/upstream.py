"""A provider's own limit on a model, as it was learned: a cap and rates, kept as text. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

from prefect_governor.blocks.limits.adaptive import WIDTH, AdaptiveCap, index_of
from prefect_governor.blocks.limits.derived import Observed
from prefect_governor.blocks.limits.learned_limits import LearnedRate, LearnedRates
from prefect_governor.blocks.limits.pace import Pace
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.records.limits import Rate, Signals

# Of what `to_text` writes.
VERSION = 2
TOO_MANY = 429
# Answers of a provider that is overloaded or broken; 529 is Anthropic's. A 501 is neither.
FAILED = frozenset({500, 502, 503, 504, 529})


@dataclass
class Upstream:
    """What is known of a provider's limit. `episodes` counts throttling: the calls that were in
    flight when it began are one with it. `each` is what a call takes that was served."""

    cap: AdaptiveCap = field(default_factory=AdaptiveCap)
    rates: LearnedRates = field(default_factory=LearnedRates)
    episodes: int = 0
    episode_at: int = 0
    each: Observed = field(default_factory=Observed)

    def take(self, bound: Bound, now: int, in_flight: int) -> int:
        """A call was let through; with it so many are in flight. Returns what `ended` is told."""
        self.cap.admitted(in_flight)
        self.rates.take(bound, now)
        return index_of(now)

    def ended(
        self,
        index: int,
        bound: Bound,
        usage: Usage | None,
        signals: Signals | None,
        now: int,
        in_flight: int,
    ) -> None:
        """A call that was let through at `index` ended so. `in_flight` counts it.

        Calls whose end says nothing of the provider (never sent, or broken off here) come without
        signals.
        """
        if usage is not None:
            self.rates.correct(index, bound, usage)
        if signals is not None and signals.delay_seconds:
            self.rates.delay(index, bound if usage is None else usage, signals.delay_seconds)
        status = None if signals is None else signals.status
        if signals is None or status is None:
            self.rates.ended(index, now, served=False)
            return
        if status == TOO_MANY:
            self._throttled(index, bound, signals, now, in_flight)
            return
        self.rates.read(signals.readings, now, whole=status < 300)
        served = status not in FAILED
        self.rates.ended(index, now, served=served)
        if served:
            # How long a call took that was not served whole says nothing.
            seconds = signals.seconds if status < 300 else None
            tokens = 0 if usage is None else usage.output_tokens
            if usage is not None and usage.tokens:
                # Instants are kept to so much, of which half has passed on average.
                held = max(0, now - index * WIDTH - WIDTH // 2)
                self.each.add(held / 1e9, usage)
            self.cap.succeeded(index, now, in_flight, seconds, tokens)
        else:
            self.cap.failed(index, now, in_flight)

    def _throttled(
        self, index: int, bound: Bound, signals: Signals, now: int, in_flight: int
    ) -> None:
        new = not self.episode_at or index > index_of(self.episode_at)
        if new:
            self.episodes += 1
            self.episode_at = now
        self.rates.refuse(index)
        of_rate = self.rates.throttled(
            signals.readings, bound, now, signals.hold_seconds, new=new, cap=self.cap.cap
        )
        # Where the headers name the rate, that is what was too much, not the calls at once.
        if not (of_rate and signals.readings):
            self.cap.throttled(index, now, in_flight)

    def to_text(self) -> str:
        """As the ledger keeps it."""
        # Not `asdict`, which copies all that is in them, at every call of the limit's.
        rates = {
            **vars(self.rates),
            "rates": {
                name: {**vars(each), "meter": [*_rate(each.meter.rate), sorted(_taken(each))]}
                for name, each in self.rates.rates.items()
            },
            "served": sorted(self.rates.served.items()),
        }
        kept = {
            "version": VERSION,
            "cap": {**vars(self.cap), "pace": vars(self.cap.pace)},
            "rates": rates,
            "episodes": self.episodes,
            "episode_at": self.episode_at,
            "each": vars(self.each),
        }
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Upstream":
        """`text` as `to_text` wrote it, or "{}" for one of which nothing is known. What another
        release learned in another way is learned anew."""
        kept: dict[str, Any] = json.loads(text)
        if kept.get("version") != VERSION:
            return cls()
        rates = dict(kept["rates"])
        rates["served"] = {second: count for second, count in rates["served"]}
        rates["rates"] = {name: _learned(each) for name, each in rates["rates"].items()}
        cap = kept["cap"]
        return cls(
            AdaptiveCap(**{**cap, "pace": Pace(**cap["pace"])}),
            LearnedRates(**rates),
            kept["episodes"],
            kept["episode_at"],
            Observed(**kept["each"]),
        )


def _rate(rate: Rate) -> tuple[str, int, int]:
    return rate.meter, rate.amount, rate.window_seconds


def _taken(each: LearnedRate) -> list[tuple[int, int]]:
    return list(each.meter.taken.items())


def _learned(kept: dict[str, Any]) -> LearnedRate:
    meter, amount, window, taken = kept["meter"]
    counters = {index: count for index, count in taken}
    return LearnedRate(**{**kept, "meter": RateMeter(Rate(meter, amount, window), counters)})
