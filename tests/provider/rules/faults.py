"""Seeded faults: which call gets which, so that a run can be told again."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import get_args

from tests.provider.config import FaultKind, Faults

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
BILLED: frozenset[FaultKind] = frozenset(
    {
        "error_500_billed",
        "disconnect_after_billing",
        "hang_billed",
        "malformed_json",
        "cut_stream",
        "drop_stream",
        "no_usage",
    }
)
HANGS: frozenset[FaultKind] = frozenset({"hang", "hang_billed"})


def unit_draw(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but `parts`."""
    digest = blake2b(repr(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


class FaultPlan:
    """Draws at most one fault for each call that the limits let in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rates = faults.rates()
        self._arrivals = 0
        self._attempts: Counter[str] = Counter()

    def draw(self, body_hash: str) -> FaultKind | None:
        """The fault of the next call, by its arrival number (from 1) or by its body's hash."""
        faults = self._faults
        self._arrivals += 1
        self._attempts[body_hash] += 1
        attempt = self._attempts[body_hash]
        if self._arrivals in faults.at:
            return faults.at[self._arrivals]
        if not self._rates or (faults.first_attempt_only and attempt > 1):
            return None
        if faults.by == "body":
            draw = unit_draw(faults.seed, body_hash, attempt)
        elif faults.by == "request":
            draw = unit_draw(faults.seed, body_hash)
        else:
            draw = unit_draw(faults.seed, self._arrivals)
        for kind, rate in self._rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None
