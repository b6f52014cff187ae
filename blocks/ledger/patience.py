"""What is said in the log of calls that wait: for what, since when, and in what place."""

import logging
from collections.abc import Mapping

from prefect_governor.blocks.ledger.decision.queue import Line, Queue, Waiter, line_of

logger = logging.getLogger("prefect_governor.queue")

# How long a call has waited when it is said first, and how often it is said again, in seconds.
FIRST_SECONDS = 10.0
AGAIN_SECONDS = 60.0


class Patience:
    """Says of each line whose first call waits for long what it waits for: once a minute."""

    def __init__(self) -> None:
        self._said: dict[Line, int] = {}

    def tell(self, queue: Queue, places: Mapping[str, int], now: int) -> None:
        """Say what is due. `now` is on the boot's clock."""
        heads = queue.heads()
        if self._said:
            here = {line_of(waiter.demand) for waiter in heads}
            self._said = {line: at for line, at in self._said.items() if line in here}
        for waiter in heads:
            if waiter.wait is None or now - waiter.since < FIRST_SECONDS * 1e9:
                continue
            line = line_of(waiter.demand)
            said = self._said.get(line)
            if said is not None and now - said < AGAIN_SECONDS * 1e9:
                continue
            self._said[line] = now
            logger.info("%s", _text(waiter, queue.behind(waiter), places, now))


def _text(waiter: Waiter, calls: int, places: Mapping[str, int], now: int) -> str:
    who = waiter.demand.attribution
    whose = who.task or who.label or "a call"
    run = f" of run {waiter.demand.run}" if waiter.demand.run else ""
    more = f", {calls - 1:,} more behind it" if calls > 1 else ""
    assert waiter.wait is not None
    place = places.get(waiter.demand.call_id, 1)
    seconds = (now - waiter.since) / 1e9
    return (
        f"{whose}{run} has waited {seconds:,.0f} s for its turn, place {place}{more}:"
        f" {waiter.wait.why}"
    )
