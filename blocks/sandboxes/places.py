"""How many sandboxes of a process are at once where no limit of a governor says it."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from fractions import Fraction

from prefect_governor.blocks.limits.derived import Memory
from prefect_governor.blocks.limits.resources import cores, memory
from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds


def most_at_once(bounds: SandboxBounds, memory: Memory | None, cores: int) -> int:
    """As many sandboxes with these bounds as memory and cores hold, at least one. Pure.

    Each is taken to use all of its memory, of its workspace, and of its share of the cores.
    `memory` None: nothing tells how much there is.
    """
    by_cores = int(cores / bounds.cpus)
    if memory is None:
        return max(1, by_cores)
    each = (bounds.memory_mib + bounds.workspace_mib) * MIB
    return max(1, min(by_cores, int(memory.room_bytes() / each)))


class Places:
    """Places for sandboxes, given in the order of asking, whatever event loop asks.

    Args:
        count: how many with these bounds fit while none is there; given by tests.
    """

    def __init__(self, count: Callable[[SandboxBounds], int] | None = None) -> None:
        self._count = count or (lambda bounds: most_at_once(bounds, memory(), cores()))
        self._lock = threading.Lock()
        self._taken: dict[object, Fraction] = {}
        self._shares: dict[SandboxBounds, Fraction] = {}
        self._waiting: deque[tuple[object, SandboxBounds, int, Future[None]]] = deque()

    @asynccontextmanager
    async def place(self, bounds: SandboxBounds, sandboxes: int = 1) -> AsyncIterator[None]:
        """Room for so many of them at once or for none, while the code inside runs; more than there
        are places begin when nothing else is there."""
        mine, turn = object(), Future[None]()
        with self._lock:
            self._waiting.append((mine, bounds, sandboxes, turn))
        self._go_on()
        try:
            await asyncio.wrap_future(turn)
            yield
        finally:
            with self._lock:
                self._waiting = deque(each for each in self._waiting if each[0] is not mine)
                self._taken.pop(mine, None)
            self._go_on()

    def _go_on(self) -> None:
        begin = []
        with self._lock:
            while self._waiting:
                mine, bounds, sandboxes, turn = self._waiting[0]
                share = self._share(bounds) * sandboxes
                if self._taken and sum(self._taken.values()) + share > 1:
                    break
                self._waiting.popleft()
                # Who was cancelled takes none.
                if turn.set_running_or_notify_cancel():
                    self._taken[mine] = share
                    begin.append(turn)
        for each in begin:
            each.set_result(None)

    def _share(self, bounds: SandboxBounds) -> Fraction:
        """What of the machine one takes. It is told while none is there: what they hold is not to
        be counted against them."""
        if not self._taken:
            self._shares.clear()
        if bounds not in self._shares:
            self._shares[bounds] = Fraction(1, self._count(bounds))
        return self._shares[bounds]


_places = Places()


def places() -> Places:
    """Those of this process."""
    return _places
