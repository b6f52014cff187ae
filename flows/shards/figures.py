"""What the shards of a run say of themselves, as one run's figures. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from prefect_governor.blocks.figures.figures import LimitFigures
from prefect_governor.blocks.limits.derived import Pace
from prefect_governor.flows.shards.told import Told


def latest(told: Mapping[int, Told], running: Collection[int]) -> list[Told]:
    """What each shard told last, by their numbers: one that has ended has nothing in flight."""
    return [
        each if number in running else replace(each, in_flight=0, waiting_for=None)
        for number, each in sorted(told.items())
    ]


def merged(here: LimitFigures, told: Sequence[Told], *, most: int) -> LimitFigures:
    """The run's figures. `here` are those of its own process, which makes no calls: what the
    ledger knows is in them, and whether the shards' cores hold the run back; `most` is the most
    calls in flight at once over all of them.
    """
    held: Counter[str] = Counter()
    for each in told:
        held.update(each.held_seconds)
    in_flight = sum(each.in_flight for each in told)
    waiting = [each.waiting_for for each in told if each.waiting_for is not None]
    return replace(
        here,
        # Of two that held it alike the first by name, whoever told of it first.
        bottleneck=here.bottleneck or max(sorted(held), key=lambda name: held[name], default=None),
        max_in_flight=most,
        throttled=sum(each.throttled for each in told),
        # They do not tell at one instant: what they hold together is never more than the cap.
        in_flight=in_flight if here.cap is None else min(in_flight, here.cap),
        calls=sum(each.calls for each in told),
        waiting_for=waiting[0] if waiting else here.waiting_for,
    )


def pace_of(told: Sequence[Told]) -> Pace | None:
    """What they came to together; None where nobody has called."""
    paced = [each for each in told if each.paced_seconds > 0]
    if not paced:
        return None
    seconds = sum(each.paced_seconds for each in paced)
    late = sum(each.late_seconds * each.paced_seconds for each in paced)
    return Pace(
        sum(each.paced_calls for each in paced),
        max(each.paced_seconds for each in paced),
        late / seconds,
        len(paced),
    )


def notes_of(told: Sequence[Told]) -> tuple[str, ...]:
    """Their lines for the report, each once."""
    return tuple(sorted({note for each in told for note in each.notes}))
