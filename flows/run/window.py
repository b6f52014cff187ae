"""The items of a run that are under way: enough to fill the cap, few enough to hold in memory."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from prefect_governor.flows.run.underway import Run, UnderWay

# Where nothing caps the calls, this many items are under way at once.
UNCAPPED = 256
# Items beyond the cap that are read and wait at its door, so that a slot that comes free is taken
# at once; and at least this many.
SPARE = 8


def room_for(cap: int | None) -> int:
    """How many may be under way at once."""
    return 2 * cap + SPARE if cap is not None else UNCAPPED


def share_of(cap: int | None, processes: int) -> int | None:
    """How many calls at once each of several processes makes ready for, of a cap of them all."""
    return None if cap is None else max(1, -(-cap // processes))


class Window:
    """Which items to start next, and which of those that were started have ended.

    Args:
        positions: the items that are to run, in order.
        cap: calls that may be in flight at once, None for no such limit.
    """

    def __init__(self, positions: Iterable[int], *, cap: int | None) -> None:
        self._waiting = deque(positions)
        self._under_way: UnderWay[int, Run] = UnderWay()
        self._size = room_for(cap)

    @property
    def room(self) -> int:
        """How many more may be waiting or running."""
        return max(0, self._size - len(self._under_way) - len(self._waiting))

    def add(self, positions: Iterable[int]) -> None:
        """More items to run, after the others."""
        self._waiting.extend(positions)

    @property
    def running(self) -> int:
        """How many items were started and have not ended."""
        return len(self._under_way)

    def next_batch(self, *, stopped: bool) -> list[int]:
        """Items to start now; none where the window is full, or the run was stopped."""
        if stopped:
            return []
        # One for each that ended: those that begin together also call, and end, together.
        room = self._size - len(self._under_way)
        return [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]

    def coming(self, most: int) -> list[int]:
        """Those that are started next, up to so many."""
        return list(islice(self._waiting, most))

    def started(self, position: int, future: Run) -> None:
        self._under_way.add(position, future)

    def wait(self) -> list[tuple[int, Run]]:
        """Items that ended since; waits a moment for the first, none if none did."""
        return self._under_way.wait()

    def cancel(self) -> list[tuple[int, Run]]:
        """Cancel what is in flight, and give what ends soon."""
        return self._under_way.cancel()

    def rest(self) -> list[int]:
        """Items that were never started, or were still running when the run was aborted."""
        return sorted([*self._under_way, *self._waiting])
