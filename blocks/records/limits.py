"""A limit as the ledger has it, and what a provider says of its own. No I/O, no clock."""

from dataclasses import dataclass
from typing import Literal

Meter = Literal["requests", "tokens", "input_tokens", "output_tokens"]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` of a meter in any `window_seconds`."""

    meter: Meter
    amount: int
    window_seconds: int = 60

    @property
    def name(self) -> str:
        unit = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}.get(self.window_seconds)
        return f"{self.meter}_per_{unit or f'{self.window_seconds}_seconds'}"


@dataclass(frozen=True, slots=True)
class RateReading:
    """What a provider's reply says of one of its rates: how much a window holds, what is left of it
    and in how many seconds all of it is back. None where it does not say."""

    meter: Meter
    limit: int
    remaining: int | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Signals:
    """What the way a call ended says of its provider.

    Attributes:
        status: of the reply, None where there was none.
        seconds: from its request's last byte to its reply's first, None where that says nothing.
        hold_seconds: for how long a 429 asks to hold.
        delay_seconds: from its admission to its request's last byte: so much later the provider has
            counted it.
        readings: of the provider's rates.
    """

    status: int | None = None
    seconds: float | None = None
    hold_seconds: float = 0.0
    readings: tuple[RateReading, ...] = ()
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitRecord:
    """A limit as the ledger knows it.

    `leased` limits may only use slots that the governor has leased from Prefect; the others use
    the ledger's own count alone. `adaptive` ones are a provider's own, learned from how it answers.
    """

    key: str
    name: str
    max_concurrent: int | None = None
    rates: tuple[Rate, ...] = ()
    leased: bool = False
    adaptive: bool = False


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit's figures now. `cap` is the smallest of what holds, `None` where nothing does."""

    key: str
    name: str
    cap: int | None
    in_flight: int
    max_in_flight: int
    throttled: int
