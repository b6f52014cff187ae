"""Prefect's server as far as the keeper sees it, with its traps."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

NAME = "governor:team:llm"


@dataclass
class Limit:
    limit: int
    id: UUID = field(default_factory=uuid4)
    active: bool | None = True
    active_slots: int | None = 0


@dataclass
class Server:
    """Prefect's server as far as the keeper sees it, with its traps."""

    limits: dict[str, Limit] = field(default_factory=dict)
    leases: dict[str, tuple[UUID, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Answers that fail, by what was asked.
    fail: dict[str, Exception] = field(default_factory=dict)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.fail:
            raise self.fail[what]

    def read(self, name: str) -> Limit | None:
        self._ask("read")
        return self.limits.get(name)

    def create(self, name: str, slots: int) -> None:
        self._ask("create")
        self.limits[name] = Limit(slots)

    def update(self, name: str, slots: int) -> None:
        self._ask("update")
        self.limits[name].limit = slots

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
        self._ask(f"acquire {slots}")
        limit = self.limits[name]
        if self.taken(name) + slots > limit.limit:
            return None
        limit.active_slots = self.taken(name) + slots
        lease_id = str(uuid4())
        self.leases[lease_id] = (limit.id, slots)
        return lease_id

    def renew(self, lease_id: str, seconds: float) -> bool:
        self._ask("renew")
        return lease_id in self.leases

    def release(self, lease_id: str) -> None:
        self._ask("release")
        limit_id, slots = self.leases.pop(lease_id)
        for limit in self.limits.values():
            if limit.id == limit_id:
                limit.active_slots = max(0, (limit.active_slots or 0) - slots)

    def give_back(self, name: str, slots: int) -> None:
        self._ask(f"give back {slots}")
        self.limits[name].active_slots = max(0, self.taken(name) - slots)

    def taken(self, name: str = NAME) -> int:
        return self.limits[name].active_slots or 0
