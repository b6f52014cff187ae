"""How much at once: the smallest of what limits, memory, cores and money allow. Pure.

P13: rate x latency, token rate, memory / footprint, cores for CPU-bound work, downstream, money
left / expected cost.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.records.limits import Meter, Rate

MIB = 2**20
# Of what memory is free, a tenth stays free, as footprints are averages. A tenth of the limit stays
# free beside it, for the page cache and whoever else is there, up to half a GiB.
MEMORY_SHARE = 0.9
SPARE_SHARE, SPARE_BYTES = 0.1, 512 * MIB
# Before any item has run, one is taken to hold so much: what importing Prefect and LiteLLM takes,
# where memory is scarce; a quarter of that where there is plenty.
UNKNOWN_BYTES = 256 * MIB
PLENTY_BYTES = 4096 * MIB
# Over how many calls what a call takes is averaged.
OBSERVED_CALLS = 50

# What people are told before the terms of the sum.
AT_ONCE = "at once, the smallest first: "


@dataclass(frozen=True, slots=True)
class Memory:
    """A limit, what of it is used without page cache, and whose it is."""

    limit_bytes: int
    used_bytes: int
    source: str

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)

    def room_bytes(self, own: int = 0) -> float:
        """What items may hold together, which hold `own` of what is used by now."""
        spare = min(SPARE_SHARE * self.limit_bytes, SPARE_BYTES)
        return max(0.0, self.free_bytes + own - spare) * MEMORY_SHARE


@dataclass
class Observed:
    """What a call takes, averaged over the last ones: seconds that it holds its slot, tokens,
    nano-dollars. `calls` is how many have taught it; 0 where the figures are assumed."""

    calls: int = 0
    seconds: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    nano: float = 0.0

    def add(self, seconds: float, usage: Usage) -> None:
        """One more call."""
        self.calls += 1
        share = 1 / min(self.calls, OBSERVED_CALLS)
        self.seconds += share * (seconds - self.seconds)
        self.input_tokens += share * (usage.input_tokens - self.input_tokens)
        self.output_tokens += share * (usage.output_tokens - self.output_tokens)
        self.nano += share * (usage.nano - self.nano)

    def of(self, meter: Meter) -> float:
        """What a call counts under a rate of this meter."""
        if meter == "requests":
            return 1.0
        if meter == "tokens":
            return self.input_tokens + self.output_tokens
        return self.input_tokens if meter == "input_tokens" else self.output_tokens


# Before any call was made.
ASSUMED = Observed(0, 2.0, 900.0, 100.0)


def together(found: Iterable[Observed]) -> Observed:
    """Averages over all, by how many calls each has seen; `ASSUMED` where none has seen any."""
    seen = [each for each in found if each.calls]
    calls = sum(each.calls for each in seen)
    if not calls:
        return ASSUMED

    def mean(name: str) -> float:
        return float(sum(each.calls * getattr(each, name) for each in seen)) / calls

    names = ("seconds", "input_tokens", "output_tokens", "nano")
    return Observed(calls, *(mean(name) for name in names))


@dataclass(frozen=True, slots=True)
class Held:
    """What one limit holds: caps and rates by the names that a report has for them. `of` names the
    limit, in people's words."""

    of: str
    caps: tuple[tuple[str, int], ...] = ()
    rates: tuple[tuple[str, Rate], ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that limits how much is at once: its name, its cap, and the sum in words."""

    name: str
    cap: float
    text: str

    @property
    def short(self) -> str:
        """Without the sum."""
        shown = f"{self.cap:,.1f}".removesuffix(".0") if self.cap < 10 else f"{self.cap:,.0f}"
        return f"{self.name} {shown}"

    def __str__(self) -> str:
        return f"{self.short} ({self.text})"


# A loop that is so late for whatever is ready has no time left, in seconds. Measured on two cores
# that a dozen others used: 12 ms where 4 calls were in flight, 274 ms where 50 were to be.
LATE_SECONDS = 0.02
CORE = "this process's core"
CORES = "the processes' cores"
# A core holds a run back that would be less than this share of all else that does.
_SHARE_OF_REST = 0.8


@dataclass(frozen=True, slots=True)
class Pace:
    """What a process, or several, came to: calls in so many seconds, with an event loop that was
    so late for what was ready, on average."""

    calls: int
    seconds: float
    late_seconds: float
    processes: int = 1


def core_term(pace: Pace, *, each: Observed) -> Term | None:
    """What their cores let be at once; None where they have time left, or nobody knows what a call
    takes."""
    if pace.late_seconds < LATE_SECONDS or pace.seconds <= 0 or not pace.calls * each.seconds:
        return None
    rate = pace.calls / pace.seconds
    text = (
        f"{rate:,.1f} calls a second x {each.seconds:.2f} s: the event loop ran"
        f" {pace.late_seconds * 1000:,.0f} ms late"
    )
    return Term(CORE if pace.processes == 1 else CORES, rate * each.seconds, text)


def core_holds(core: Term, others: Iterable[Term]) -> bool:
    """Whether a core holds a run back, and not what else does."""
    return core.cap < _SHARE_OF_REST * min((term.cap for term in others), default=math.inf)


def terms(
    limits: Iterable[Held] = (),
    *,
    each: Observed = ASSUMED,
    memory: Memory | None = None,
    footprint_bytes: float | None = None,
    footprint_source: str = "observed",
    under_way: int = 0,
    cores: int | None = None,
    money_left_nano: int | None = None,
) -> tuple[Term, ...]:
    """The caps that can be told from what is known, the smallest first. What is None, or what it is
    divided by and is not known, limits nothing.

    `each` is what a call takes; `footprint_source` says where an item's memory is known from, and
    `under_way` how many items hold theirs now.
    """
    found: list[Term] = []
    assumed = "" if each.calls else ", assumed"
    for limit in limits:
        found += [Term(name, cap, limit.of) for name, cap in limit.caps]
        for name, rate in limit.rates:
            takes = each.of(rate.meter)
            if not each.seconds or not takes:
                continue
            cap = rate.amount / rate.window_seconds * each.seconds / takes
            text = f"{limit.of}: {rate.amount:,} x {each.seconds:.2f} s / {rate.window_seconds} s"
            if rate.meter != "requests":
                text += f" / {takes:,.0f} tokens a call"
            found.append(Term(name, cap, text + assumed))
    if memory is not None and footprint_bytes:
        room = memory.room_bytes(int(under_way * footprint_bytes))
        cap = room / footprint_bytes
        text = (
            f"{room / MIB:,.0f} MiB to use, of {memory.free_bytes / MIB:,.0f} free of"
            f" {memory.limit_bytes / MIB:,.0f} ({memory.source}) / {footprint_bytes / MIB:,.0f} MiB"
            f" an item, {footprint_source}"
        )
        found.append(Term("memory", cap, text))
    if cores is not None:
        found.append(Term("cores", cores, "for CPU-bound work"))
    if money_left_nano is not None and each.calls and each.nano:
        cap = max(0, money_left_nano) / each.nano
        left, takes_nano = show_usd(max(0, money_left_nano)), show_usd(round(each.nano))
        text = f"{left} left / {takes_nano} a call"
        found.append(Term("money", cap, text))
    return tuple(sorted(found, key=lambda term: term.cap))


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
        room = memory.room_bytes(grown)
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
