"""How fast calls can go, and what holds them back. Pure.

Each thing that can hold a run back allows a throughput: a cap its slots over a call's latency, a
rate its amount over its window, the money that is left as many calls as its bounds fit in at once.
What is smallest, of those that this run comes up against at all, is the bottleneck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_governor.blocks.records.limits import LimitRecord, Rate

# Seconds of a call where no past one tells: until the first token, and for each of its answer.
FIRST_TOKEN_SECONDS = 0.6
TOKEN_SECONDS = 0.02
# A provider may well be so much slower than that.
SLOWER = 1.5
# The offline model answers in this process.
OFFLINE_SECONDS = 0.03
# What an item costs in this process beside its calls, in seconds (measured: 4 to 10 ms).
ITEM_SECONDS = 0.01
# A run's own beginning and end.
RUN_SECONDS = 1.0
# A busy machine takes so many times as long for both.
BUSY = 3.0


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a budget; None where it has no ceiling of that kind."""

    name: str
    nano: int | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Load:
    """What a run wants to do, at one level of what may come.

    Attributes:
        items: how many may go side by side.
        calls: how many calls they make together; `chain` of them follow each other in one item.
        input_tokens, output_tokens: of all calls together.
        seconds: of a call on average; `slowest` of the one that is waited for at the end.
        bound_nano, bound_tokens: what all calls together reserve at the most.
    """

    items: int
    calls: int
    chain: int
    input_tokens: int
    output_tokens: int
    seconds: float
    slowest: float
    bound_nano: int
    bound_tokens: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one thing allows. `name` is as the report names bottlenecks; `holds` says that this run
    comes up against it; `seconds` is how long the run takes by it alone."""

    name: str
    calls_per_second: float
    why: str
    holds: bool
    seconds: float


def throughputs(
    load: Load, limits: Sequence[LimitRecord], left: Sequence[Left]
) -> list[Throughput]:
    """What each limit and budget allows, the slowest first."""
    found: list[Throughput] = []
    if not load.calls:
        return found
    for limit in limits:
        if limit.max_concurrent is not None:
            found.append(_cap(load, limit.name, limit.max_concurrent))
        found += [_rate(load, limit.name, rate) for rate in limit.rates]
    for each in left:
        found += _money(load, each)
    return sorted(found, key=lambda each: (each.calls_per_second, each.name))


def bottleneck(found: Sequence[Throughput]) -> Throughput | None:
    """The slowest of what holds the run back; None where nothing does."""
    return next((each for each in found if each.holds), None)


def run_seconds(load: Load, found: Sequence[Throughput], *, busy: bool = False) -> float:
    """Wall-clock of the run: by what is slowest, and no less than one item's calls one after
    another, nor than what this process needs for all items, on a busy machine where `busy`."""
    if not load.calls:
        return 0.0
    alone = load.seconds * (load.chain - 1) + load.slowest
    by_limits = max((each.seconds for each in found), default=0.0)
    times = BUSY if busy else 1.0
    return RUN_SECONDS * times + max(alone, by_limits, ITEM_SECONDS * times * load.items)


def prior_seconds(output_tokens: float, *, offline: bool) -> float:
    """Seconds of a call with such an answer, where no past one tells."""
    return OFFLINE_SECONDS if offline else FIRST_TOKEN_SECONDS + TOKEN_SECONDS * output_tokens


def _cap(load: Load, name: str, cap: int) -> Throughput:
    return Throughput(
        "max_concurrent",
        cap / max(load.seconds, 1e-3),
        f"limit {name!r}: {cap:,} at once, about {load.seconds:.2f} s a call",
        holds=load.items > cap,
        seconds=max(0.0, load.calls * load.seconds / cap - load.seconds) + load.slowest,
    )


def _rate(load: Load, name: str, rate: Rate) -> Throughput:
    meters = {
        "requests": load.calls,
        "tokens": load.input_tokens + load.output_tokens,
        "input_tokens": load.input_tokens,
        "output_tokens": load.output_tokens,
    }
    wanted = meters[rate.meter]
    a_call = max(wanted / load.calls, 1e-9)
    unit = "" if rate.meter == "requests" else f", about {a_call:,.0f} a call"
    # A whole window's worth may go at once; each further one a window later.
    windows = max(0, wanted - 1) // rate.amount
    return Throughput(
        rate.name,
        rate.amount / a_call / rate.window_seconds,
        f"limit {name!r}: {rate.amount:,} {rate.meter.replace('_', ' ')} in"
        f" {rate.window_seconds:,} s{unit}",
        holds=wanted > rate.amount,
        seconds=windows * rate.window_seconds + load.slowest,
    )


def _money(load: Load, left: Left) -> list[Throughput]:
    found = []
    for name, amount, bound, unit in (
        ("budget_usd", left.nano, load.bound_nano, "USD"),
        ("budget_total_tokens", left.tokens, load.bound_tokens, "tokens"),
    ):
        if amount is None or not bound:
            continue
        at_once = amount * load.calls / bound
        found.append(
            Throughput(
                name,
                at_once / max(load.seconds, 1e-3),
                f"budget {left.name!r}: what is left of its {unit} holds the bounds of"
                f" {at_once:,.0f} calls at once",
                holds=at_once < load.items,
                # Reservations shrink to what was spent, so that this is no time of its own.
                seconds=load.slowest,
            )
        )
    return found
