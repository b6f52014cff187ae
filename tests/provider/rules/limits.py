"""Counting units over time. Pure: every method is told the time, in integer nanoseconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

SECOND = 10**9


@dataclass(slots=True)
class Ticket:
    """What was taken from a meter, so that it can be corrected: when (or in which window)."""

    at: int
    amount: int


class Meter(Protocol):
    """Counts units against a limit over time."""

    limit: int

    def room(self, now: int) -> int:
        """Units that may be taken now (never below 0)."""

    def wait(self, now: int, amount: int) -> int:
        """Nanoseconds until `amount` fits, 0 when it does. A whole window if it never can."""

    def take(self, now: int, amount: int) -> Ticket:
        """Counts `amount`, whether it fits or not."""

    def correct(self, now: int, ticket: Ticket, amount: int) -> None:
        """Makes what `ticket` counted `amount`, where that is still remembered."""


class FixedWindow:
    """At most `limit` in each window [k x window, (k+1) x window)."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit = limit
        self._window = window
        self._index = 0
        self._used = 0

    def _roll(self, now: int) -> None:
        index = now // self._window
        if index > self._index:
            self._index, self._used = index, 0

    def room(self, now: int) -> int:
        self._roll(now)
        return max(0, self.limit - self._used)

    def wait(self, now: int, amount: int) -> int:
        if amount <= self.room(now):
            return 0
        return (self._index + 1) * self._window - now

    def take(self, now: int, amount: int) -> Ticket:
        self._roll(now)
        self._used += amount
        return Ticket(self._index, amount)

    def correct(self, now: int, ticket: Ticket, amount: int) -> None:
        self._roll(now)
        if ticket.at == self._index:
            self._used += amount - ticket.amount
        ticket.amount = amount


class SlidingWindow:
    """At most `limit` in every interval of `window`, wherever it begins."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit = limit
        self._window = window
        self._taken: deque[Ticket] = deque()
        self._used = 0

    def _expire(self, now: int) -> None:
        while self._taken and self._taken[0].at <= now - self._window:
            self._used -= self._taken.popleft().amount

    def room(self, now: int) -> int:
        self._expire(now)
        return max(0, self.limit - self._used)

    def wait(self, now: int, amount: int) -> int:
        self._expire(now)
        used = self._used
        if used + amount <= self.limit:
            return 0
        for ticket in self._taken:
            used -= ticket.amount
            if used + amount <= self.limit:
                return ticket.at + self._window - now
        return self._window

    def take(self, now: int, amount: int) -> Ticket:
        self._expire(now)
        ticket = Ticket(now, amount)
        self._taken.append(ticket)
        self._used += amount
        return ticket

    def correct(self, now: int, ticket: Ticket, amount: int) -> None:
        self._expire(now)
        if ticket.at > now - self._window:
            self._used += amount - ticket.amount
        ticket.amount = amount


class TokenBucket:
    """Refills by `limit` a `window`, evenly; holds at most `burst` (default: `limit`)."""

    def __init__(self, limit: int, window: int, burst: int | None = None) -> None:
        self.limit = limit
        self._window = window
        # Units times the window's nanoseconds, so that refilling is exact in integers.
        self._full = (limit if burst is None else burst) * window
        self._level = self._full
        self._at: int | None = None

    def _refill(self, now: int) -> None:
        if self._at is not None and now > self._at:
            self._level = min(self._full, self._level + (now - self._at) * self.limit)
        self._at = now if self._at is None else max(self._at, now)

    def room(self, now: int) -> int:
        self._refill(now)
        return max(0, self._level // self._window)

    def wait(self, now: int, amount: int) -> int:
        self._refill(now)
        lacking = amount * self._window - self._level
        if lacking <= 0:
            return 0
        if amount * self._window > self._full:
            return self._window
        return -(-lacking // self.limit)

    def take(self, now: int, amount: int) -> Ticket:
        self._refill(now)
        self._level -= amount * self._window
        return Ticket(now, amount)

    def correct(self, now: int, ticket: Ticket, amount: int) -> None:
        self._refill(now)
        self._level = min(self._full, self._level + (ticket.amount - amount) * self._window)
        ticket.amount = amount


def spell(nanoseconds: int) -> str:
    """A duration as OpenAI's reset headers write it: `120ms`, `6.2s`, `1m3s`."""
    milliseconds = -(-nanoseconds // 10**6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
