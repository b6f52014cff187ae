"""Whose turn it is between processes: the call that has waited longest, wherever it waits.

Each process says in the ledger since when its first call waits for a thing that is short. Another
process whose call came later leaves the thing to it, unless it has not been heard of for a second.
The order is total, so no two processes can wait for each other.
"""

from prefect_governor.blocks.ledger.admission import Wait
from prefect_governor.blocks.ledger.queue import Queue, Waiter
from prefect_governor.blocks.ledger.store import Rows

# A process that has not said for this long that it waits is passed over, in seconds.
PATIENCE_SECONDS = 1.0
# How much longer another process's call must have waited, in seconds. A slot that is left to
# another process is idle until that one wakes; so they take turns by handfuls, not one by one.
SLACK_SECONDS = 0.1
# How often a process says so while nothing changes, in seconds.
REPEAT_SECONDS = 0.4
# How often a process says how much it has waiting, in seconds.
COUNT_SECONDS = 0.2


class Turns:
    """What this process says of its queue, and what it heard of the others'."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._others: dict[str, int] = {}
        self._said: dict[str, int] = {}
        self._said_at = 0
        self._counts: dict[str, int] = {}
        self._counted_at = 0

    def hear(self, rows: Rows) -> None:
        """Read who waits elsewhere, and since when."""
        heard_of = rows.now.boot - int(PATIENCE_SECONDS * 1e9)
        self._others = rows.heads(self._owner, heard_of)

    def another_first(self, waiter: Waiter) -> Wait | None:
        """Why a call must leave what is short to another process's, None where it is its turn."""
        before = waiter.since - int(SLACK_SECONDS * 1e9)
        for need in waiter.demand.needs:
            if need in self._others and self._others[need] < before:
                # What it waited for before is what both wait for.
                if waiter.wait is not None and waiter.wait.resource == need:
                    return waiter.wait
                why = "a call of another process has waited longer for the same"
                return Wait(need, "queue", why)
        return None

    def say(self, rows: Rows, queue: Queue) -> None:
        """Tell the others who waits here first, and how many do."""
        now = rows.now.boot
        heads: dict[str, int] = {}
        for waiter in queue.heads():
            if waiter.wait is not None:
                need = waiter.wait.resource
                heads[need] = min(waiter.since, heads.get(need, waiter.since))
        due = bool(heads) and now - self._said_at >= REPEAT_SECONDS * 1e9
        if heads != self._said or due:
            rows.put_heads(self._owner, heads)
            self._said, self._said_at = heads, now
        counts = queue.by_limit()
        if counts != self._counts and (
            not counts or not self._counts or now - self._counted_at >= COUNT_SECONDS * 1e9
        ):
            rows.put_waiting(self._owner, counts)
            self._counts, self._counted_at = counts, now
