"""Prefect's global concurrency limits and Variables as the server keeps them, with lost replies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4

from prefect_governor.blocks.draws.counters import Told
from prefect_governor.blocks.leases.limit_server import ServerAway

Fault = Literal["lost request", "lost reply", "late"]


@dataclass
class Limit:
    """One that counts while it is active."""

    limit: int
    active_slots: int | None = 0
    active: bool | None = True
    id: UUID = field(default_factory=uuid4)


@dataclass
class FakeServer:
    """What all machines ask.

    Attributes:
        fault: what becomes of the next rise or fall, once.
        late: what was sent and has not arrived yet.
        asked: how many requests there were.
    """

    limits: dict[str, Limit] = field(default_factory=dict)
    variables: dict[str, Told] = field(default_factory=dict)
    fault: Fault | None = None
    late: list[Callable[[], object]] = field(default_factory=list)
    asked: int = 0

    def read(self, name: str) -> Limit | None:
        self.asked += 1
        return self.limits.get(name)

    def create(self, name: str, slots: int) -> None:
        self.asked += 1
        self.limits.setdefault(name, Limit(slots))

    def update(self, name: str, slots: int) -> None:
        self.asked += 1
        self.limits[name].limit = slots

    def delete(self, name: str) -> None:
        self.asked += 1
        self.limits.pop(name, None)

    def told(self, variable: str) -> Told | None:
        self.asked += 1
        return self.variables.get(variable)

    def tell(self, variable: str, told: Told) -> bool:
        self.asked += 1
        return self.variables.setdefault(variable, told) is told

    def rise(self, names: Sequence[str], units: int) -> list[str] | None:
        return self._sent(lambda: self._rise(names, units))

    def fall(self, names: Sequence[str], units: int) -> None:
        self._sent(lambda: self._fall(names, units))

    def arrive(self) -> None:
        """All that is late."""
        while self.late:
            self.late.pop(0)()

    def _sent(self, work: Callable[[], "list[str] | None"]) -> "list[str] | None":
        self.asked += 1
        fault, self.fault = self.fault, None
        if fault == "lost reply":
            work()
        if fault == "late":
            self.late.append(work)
        if fault is not None:
            raise ServerAway(fault, undone=False)
        return work()

    def _rise(self, names: Sequence[str], units: int) -> list[str] | None:
        found = [self.limits[name] for name in names if name in self.limits]
        counting = [each for each in found if each.active]
        if any((each.active_slots or 0) + units > each.limit for each in counting):
            return None
        for each in counting:
            each.active_slots = (each.active_slots or 0) + units
        return [str(self.limits[name].id) if name in self.limits else "" for name in names]

    def _fall(self, names: Sequence[str], units: int) -> list[str] | None:
        for name in names:
            found = self.limits.get(name)
            if found is not None and found.active:
                found.active_slots = max(0, (found.active_slots or 0) - units)
        return None
