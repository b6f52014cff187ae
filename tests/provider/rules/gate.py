"""The provider's limits: who is let in. Pure: every method is told the time, in nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.provider.config import Limits
from tests.provider.rules.limits import (
    SECOND,
    FixedWindow,
    Meter,
    SlidingWindow,
    Ticket,
    TokenBucket,
    spell,
)


@dataclass(slots=True)
class Refusal:
    """Which limit refused, how long until it would not, and the numbers."""

    label: str
    unit: str
    limit: int
    used: int
    requested: int
    wait: int


@dataclass(slots=True)
class Admission:
    """What a call holds: the rules it is open under, and tickets of meters settled at its end."""

    rules: list[_Rule]
    tickets: list[tuple[_Gauge, Ticket]] = field(default_factory=list)


@dataclass(slots=True)
class _Gauge:
    """A meter and what it counts: `requests`, `tokens`, `input_tokens` or `output_tokens`."""

    label: str
    unit: str
    meter: Meter

    def amount(self, input_tokens: int, output_tokens: int) -> int:
        return {
            "requests": 1,
            "tokens": input_tokens + output_tokens,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
        }[self.unit]


class _Rule:
    """One `Limits` of the config with its meters and the calls open under it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0
        self.gauges = [
            _Gauge(label, unit, self._meter(per_window, window_ns))
            for label, unit, per_window, window_ns in limits.meters()
        ]

    def _meter(self, limit: int, window: int) -> Meter:
        if self.limits.kind == "fixed":
            return FixedWindow(limit, window)
        if self.limits.kind == "sliding":
            return SlidingWindow(limit, window)
        return TokenBucket(limit, window, self.limits.burst)

    def refuse(self, now: int, input_tokens: int, max_output: int) -> Refusal | None:
        cap = self.limits.max_concurrent
        if cap is not None and self.open >= cap:
            return Refusal("max_concurrent", "concurrent requests", cap, self.open, 1, SECOND)
        for gauge in self.gauges:
            # Counted at the end: a call is let in as long as anything is left.
            at_end = gauge.unit != "requests" and self.limits.count_tokens == "end"
            amount = 1 if at_end else gauge.amount(input_tokens, max_output)
            wait = gauge.meter.wait(now, amount)
            if wait:
                limit = gauge.meter.limit
                used = limit - gauge.meter.room(now)
                return Refusal(gauge.label, gauge.unit, limit, used, amount, wait)
        return None


class Gate:
    """All limits of a config: a call passes every rule of its model at once, or none of them."""

    def __init__(self, limits: Sequence[Limits]) -> None:
        self._rules = [_Rule(each) for each in limits]

    def _of(self, model: str) -> list[_Rule]:
        return [rule for rule in self._rules if fnmatchcase(model, rule.limits.model)]

    def admit(
        self, model: str, now: int, input_tokens: int, max_output: int
    ) -> Admission | Refusal:
        """Takes the call's share of every limit, or says which one has none left."""
        rules = self._of(model)
        refusals = [r for rule in rules if (r := rule.refuse(now, input_tokens, max_output))]
        if refusals:
            for rule in rules:
                if rule.limits.count_denied:
                    for gauge in rule.gauges:
                        if gauge.unit == "requests":
                            gauge.meter.take(now, 1)
            return max(refusals, key=lambda refusal: refusal.wait)
        admission = Admission(rules)
        for rule in rules:
            rule.open += 1
            for gauge in rule.gauges:
                if gauge.unit == "requests":
                    gauge.meter.take(now, 1)
                elif rule.limits.count_tokens != "end":
                    ticket = gauge.meter.take(now, gauge.amount(input_tokens, max_output))
                    if rule.limits.count_tokens == "corrected":
                        admission.tickets.append((gauge, ticket))
        return admission

    def settle(self, now: int, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """The call has ended with these tokens (0 and 0 when it was not billed)."""
        for rule in admission.rules:
            rule.open -= 1
            if rule.limits.count_tokens == "end":
                for gauge in rule.gauges:
                    if gauge.unit != "requests":
                        gauge.meter.take(now, gauge.amount(input_tokens, output_tokens))
        for gauge, ticket in admission.tickets:
            gauge.meter.correct(now, ticket, gauge.amount(input_tokens, output_tokens))

    def headers(self, model: str, now: int) -> dict[str, str]:
        """OpenAI's `x-ratelimit-…` headers: the first request and the first token limit."""
        found: dict[str, str] = {}
        for rule in self._of(model):
            for gauge in rule.gauges:
                unit = "requests" if gauge.unit == "requests" else "tokens"
                if f"x-ratelimit-limit-{unit}" in found:
                    continue
                meter = gauge.meter
                found[f"x-ratelimit-limit-{unit}"] = str(meter.limit)
                found[f"x-ratelimit-remaining-{unit}"] = str(meter.room(now))
                found[f"x-ratelimit-reset-{unit}"] = spell(meter.wait(now, meter.limit))
        return found
