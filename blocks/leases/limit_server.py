"""What the keeper asks of whoever has the global concurrency limits."""

from typing import Protocol
from uuid import UUID


class ServerAway(ConnectionError):
    """The server was asked in vain: it is gone, or too busy. The next tick asks again.

    Attributes:
        undone: nothing happened. False where the answer was lost and it may have.
    """

    def __init__(self, why: str, *, undone: bool) -> None:
        super().__init__(why)
        self.undone = undone


class ServerLimit(Protocol):
    """What the server says of a limit."""

    @property
    def id(self) -> UUID: ...

    @property
    def limit(self) -> int: ...

    @property
    def active(self) -> bool | None: ...

    @property
    def active_slots(self) -> int | None: ...


class LimitServer(Protocol):
    """Prefect's global concurrency limits. `prefect_limits.PrefectLimits` is the real one.

    Whatever it is asked, it may raise ServerAway.
    """

    def read(self, name: str) -> ServerLimit | None: ...

    def create(self, name: str, slots: int) -> None: ...

    def update(self, name: str, slots: int) -> None: ...

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
        """A lease's id, None where the limit has no room."""

    def renew(self, lease_id: str, seconds: float) -> bool:
        """False where the server no longer knows the lease."""

    def release(self, lease_id: str) -> None:
        """Give back what a lease holds; nothing where the server does not know it."""

    def give_back(self, name: str, slots: int) -> None:
        """Give back slots by the limit's name, of leases that the server has forgotten."""
