"""Who waits in this process: first come, first served, for each thing that is short. Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from prefect_governor.blocks.ledger.admission import Wait
from prefect_governor.blocks.ledger.records import Admission, Demand


@dataclass
class Waiter:
    """A call that waits to be admitted, holding nothing. Instants are on the boot's clock."""

    demand: Demand
    future: "Future[Admission]"
    since: int
    until: int | None = None
    wait: Wait | None = None


class Queue:
    """The calls that wait, in lanes of those that ask for the same budgets and limits.

    Within a lane the first is asked first, so a big call is not overtaken by small ones for ever.
    A lane whose head waits does not hold up a lane that needs nothing of what is short.
    """

    def __init__(self) -> None:
        self._lanes: OrderedDict[tuple[tuple[str, ...], ...], OrderedDict[str, Waiter]] = (
            OrderedDict()
        )

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def add(self, waiter: Waiter) -> None:
        lane = (waiter.demand.accounts, waiter.demand.limits)
        self._lanes.setdefault(lane, OrderedDict())[waiter.demand.call_id] = waiter

    def remove(self, call_id: str) -> Waiter | None:
        for key, lane in self._lanes.items():
            waiter = lane.pop(call_id, None)
            if waiter is not None:
                if not lane:
                    del self._lanes[key]
                return waiter
        return None

    def heads(self) -> list[Waiter]:
        """The first of each lane, the one that has waited longest first."""
        return sorted(
            (next(iter(lane.values())) for lane in self._lanes.values()),
            key=lambda waiter: waiter.since,
        )

    def waiters(self) -> Iterator[Waiter]:
        for lane in self._lanes.values():
            yield from lane.values()

    def place(self, call_id: str) -> int | None:
        """A waiter's place in its lane, from 1."""
        for lane in self._lanes.values():
            if call_id in lane:
                return list(lane).index(call_id) + 1
        return None

    def by_limit(self) -> dict[str, int]:
        """How many wait under each limit."""
        counts: dict[str, int] = {}
        for (_, limits), lane in self._lanes.items():
            for key in limits:
                counts[key] = counts.get(key, 0) + len(lane)
        return counts
