"""How much at once: the smallest of what limits, memory, cores and money allow. Pure.

P13: rate x latency, token rate, memory / footprint, cores for CPU-bound work, downstream, money
left / expected cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MIB = 2**20
# Of what memory is free, a tenth stays free: footprints are averages, and others live here too.
MEMORY_SHARE = 0.9
# Before any item has run, one is taken to hold so much: what importing Prefect and LiteLLM takes,
# where memory is scarce; a quarter of that where there is plenty.
UNKNOWN_BYTES = 256 * MIB
PLENTY_BYTES = 4096 * MIB


@dataclass(frozen=True, slots=True)
class Memory:
    """A limit, what of it is used without page cache, and whose it is."""

    limit_bytes: int
    used_bytes: int
    source: str

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that limits how much is at once: its name, its cap, and the sum in words."""

    name: str
    cap: float
    text: str


def terms(
    *,
    max_concurrent: int | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    latency_seconds: float | None = None,
    tokens_per_call: float | None = None,
    memory: Memory | None = None,
    footprint_bytes: float | None = None,
    cores: int | None = None,
    downstream: int | None = None,
    money_left_nano: int | None = None,
    cost_nano: float | None = None,
) -> tuple[Term, ...]:
    """The caps that can be told from what is known, the smallest first. What is None, or what it is
    divided by and is not known, limits nothing."""
    found: list[Term] = []
    if max_concurrent is not None:
        found.append(Term("max_concurrent", max_concurrent, f"configured: {max_concurrent:,}"))
    if requests_per_minute is not None and latency_seconds:
        cap = requests_per_minute * latency_seconds / 60
        text = f"{requests_per_minute:,.0f} a minute x {latency_seconds:.2f} s a call"
        found.append(Term("requests_per_minute", cap, text))
    if tokens_per_minute is not None and latency_seconds and tokens_per_call:
        cap = tokens_per_minute * latency_seconds / 60 / tokens_per_call
        text = (
            f"{tokens_per_minute:,.0f} a minute x {latency_seconds:.2f} s / {tokens_per_call:,.0f}"
            " tokens a call"
        )
        found.append(Term("tokens_per_minute", cap, text))
    if memory is not None and footprint_bytes:
        cap = memory.free_bytes * MEMORY_SHARE / footprint_bytes
        text = (
            f"{MEMORY_SHARE:.0%} of {memory.free_bytes / MIB:,.0f} MiB free of"
            f" {memory.limit_bytes / MIB:,.0f} ({memory.source}) / {footprint_bytes / MIB:,.0f} MiB"
            " an item"
        )
        found.append(Term("memory", cap, text))
    if cores is not None:
        found.append(Term("cores", cores, f"{cores} for CPU-bound work"))
    if downstream is not None:
        found.append(Term("downstream", downstream, f"a downstream limit: {downstream:,}"))
    if money_left_nano is not None and cost_nano:
        cap = max(0, money_left_nano) / cost_nano
        text = f"{max(0, money_left_nano) / 1e9:,.4f} USD left / {cost_nano / 1e9:,.6f} a call"
        found.append(Term("money", cap, text))
    return tuple(sorted(found, key=lambda term: term.cap))


def cap_of(found: Iterable[Term]) -> int | None:
    """The whole cap: never below 1, None where nothing limits."""
    caps = [term.cap for term in found]
    return max(1, int(min(caps))) if caps else None


class MemoryCap:
    """How many items may be under way, as memory allows.

    What an item holds is told by how this process grows with the items under way, or given
    (`footprint_bytes`, a Limit's `memory_mib`). Until it is told, it begins with what fits if an
    item held `UNKNOWN_BYTES` and at least 1, and doubles with each generation of items that ended
    while memory held.
    """

    def __init__(self, *, footprint_bytes: float | None = None) -> None:
        self._given = footprint_bytes
        self._base: int | None = None
        self._most = 0.0
        self._proven = 0
        self._ended = 0
        self.cap: int | None = None
        self.memory: Memory | None = None

    @property
    def footprint_bytes(self) -> float | None:
        """What an item holds, given or observed; None where none has run."""
        return self._given or self._most or None

    def ended(self, items: int) -> None:
        """So many items ended."""
        self._ended += items

    def look(self, memory: Memory, resident_bytes: int, under_way: int) -> int:
        """The cap now, at least 1. `under_way` items hold what this process has grown by."""
        self.memory = memory
        if self._base is None or under_way == 0:
            self._base = min(resident_bytes, self._base or resident_bytes)
        grown = max(0, resident_bytes - self._base)
        if under_way:
            # What one item left behind is in the next one's figure: the larger is the safe one.
            share = grown / under_way
            self._most = max(share, self._most if under_way <= self._proven else 0.0)
        # What is free, and what those under way hold by now, is theirs to share.
        room = (memory.free_bytes + grown) * MEMORY_SHARE
        if self._given:
            self.cap = max(1, int(room / self._given))
            return self.cap
        if self.cap is None:
            unknown = UNKNOWN_BYTES if room < PLENTY_BYTES else UNKNOWN_BYTES // 4
            self.cap = max(1, int(room / unknown))
            return self.cap
        if self._most:
            fits = max(1, int(room / self._most))
            if 2 * under_way >= self.cap and self._ended >= self.cap:
                self._proven = max(self._proven, self.cap)
                self.cap, self._ended = 2 * self.cap, 0
            self.cap = max(1, min(self.cap, fits))
        return self.cap
