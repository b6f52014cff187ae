"""What the shards of a run say of themselves, as one run's figures. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from prefect_governor.blocks.figures.figures import LimitFigures
from prefect_governor.flows.shards.told import Told


def merged(here: LimitFigures, told: Sequence[Told], *, most: int) -> LimitFigures:
    """The run's figures. `here` are those of its own process, which makes no calls: what the
    ledger knows is in them; `most` is the most calls in flight at once over all of them."""
    held: Counter[str] = Counter()
    for each in told:
        held.update(each.held_seconds)
    waiting = [each.waiting_for for each in told if each.waiting_for is not None]
    return replace(
        here,
        # Of two that held it alike the first by name, whoever told of it first.
        bottleneck=max(sorted(held), key=lambda name: held[name], default=None),
        max_in_flight=most,
        throttled=sum(each.throttled for each in told),
        in_flight=sum(each.in_flight for each in told),
        calls=sum(each.calls for each in told),
        waiting_for=waiting[0] if waiting else here.waiting_for,
    )


def notes_of(told: Sequence[Told]) -> tuple[str, ...]:
    """Their lines for the report, each once."""
    return tuple(sorted({note for each in told for note in each.notes}))
