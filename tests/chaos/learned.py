"""What a storm's workers learned of the provider, as the ledger has it, all the while."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.wire.replies.secrets import Secrets
from tests.chaos.nursery import MODEL

AUTHORIZATION = "Bearer sk-chaos"


@dataclass
class LearnedCap:
    """Samples of a provider's own limit: seconds from the first, calls in flight, the cap that was
    learned (None for none)."""

    reader: Store
    api_base: str
    clock: Callable[[], float]
    samples: list[tuple[float, int, int | None]] = field(default_factory=list)
    causes: set[str] = field(default_factory=set)
    _began: float | None = None

    def look(self) -> None:
        request = httpx.Request("POST", self.api_base, headers={"authorization": AUTHORIZATION})
        host, key = request.url.host, Secrets(request).fingerprint
        gate = self.reader.read_gate(f"upstream/{host}/{MODEL}/{key}")
        if gate is None or gate.upstream is None:
            return
        now = self.clock()
        self._began = self._began or now
        learned = gate.upstream.cap
        if learned.cap is not None and learned.cause is not None:
            self.causes.add(learned.cause)
        self.samples.append((now - self._began, gate.in_flight, learned.cap))

    @property
    def least(self) -> int | None:
        return min((cap for _, _, cap in self.samples if cap is not None), default=None)

    def in_words(self, every_seconds: float = 2.0) -> str:
        """In flight, and the cap where one was learned, every so often."""
        told, last = [], float("-inf")
        for at, in_flight, cap in self.samples:
            if at - last >= every_seconds:
                last = at
                told.append(f"{in_flight}" if cap is None else f"{in_flight}/{cap}")
        why = f", cut for {', '.join(sorted(self.causes))}" if self.causes else ", never cut"
        return f"least {self.least}{why}; in flight every {every_seconds:g} s: {' '.join(told)}"
