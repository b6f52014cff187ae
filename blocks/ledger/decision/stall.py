"""Which waits can never end, as who would end them waits for them. Pure.

Everything that is not known to be held up may go on: what is found here is proven, whatever else
happens in the process, in others or at the provider.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Amounts = Mapping[str, int]


@dataclass(frozen=True)
class Waiting:
    """What somebody waits for: so much of some resources, all at once, and the end of others."""

    needs: Amounts = field(default_factory=dict)
    after: tuple[Hashable, ...] = ()


def stalled(
    waits: Mapping[Any, Waiting],
    held_up_by: Mapping[Any, Any],
    holds: Iterable[tuple[Any, Amounts]],
    capacity: Amounts,
) -> set[Hashable]:
    """Those that can never go on.

    Args:
        waits: who waits for what.
        held_up_by: who cannot go on before another does, as that one blocks their thread.
        holds: who holds how much of a resource; it comes free when they go on.
        capacity: how much there is of a resource, what is gone for good or others hold not counted.
            What is not named here is no reason to wait for ever.

    The greatest set of which nobody can be the first to go on: whoever waits for resources of
    which enough is left beside what the set holds can; so can who waits for somebody outside of it.
    """
    held = [(who, amounts) for who, amounts in holds]
    found: set[Hashable] = {*waits, *held_up_by}
    while True:
        taken: dict[str, int] = {}
        for who, amounts in held:
            if who in found:
                for resource, amount in amounts.items():
                    taken[resource] = taken.get(resource, 0) + amount
        free = {
            who
            for who in found
            if held_up_by.get(who) not in found
            and _may_go_on(waits.get(who), found, taken, capacity)
        }
        if not free:
            return found
        found -= free


def _may_go_on(
    waiting: Waiting | None, found: set[Hashable], taken: Amounts, capacity: Amounts
) -> bool:
    if waiting is None:
        return True
    if any(other in found for other in waiting.after):
        return False
    return not any(
        # Where there is not enough of it even without what they hold, they are not the reason.
        capacity[resource] - taken.get(resource, 0) < amount <= capacity[resource]
        for resource, amount in waiting.needs.items()
        if resource in capacity
    )
