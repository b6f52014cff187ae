"""What a process says in the ledger of the first call that waits in it for a thing. Pure."""

import json
from dataclasses import dataclass

from prefect_governor.blocks.records.calls import Bound

_NO_BOUND = Bound(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """A process's first call that lacks a thing, or that has its share of it kept.

    Instants are on the boot's clock.

    Attributes:
        since: since when it is first, which is what turns between processes go by.
        bound: what it asks for.
        priority: of those that wait, a higher one goes first.
        calls: how many wait in the process for the same, rounded down to a power of two.
        asked: since when it waits.
        aged: it has been passed for long enough: its share is kept for it.
        lacks: False where it waits for something else by now.
        exact: it is served strictly in the order of asking.
        held: how many calls of the process are in flight under the limit that is short.
    """

    since: int
    bound: Bound = _NO_BOUND
    priority: int = 0
    calls: int = 1
    asked: int = 0
    aged: bool = False
    lacks: bool = True
    exact: bool = False
    held: int = 0

    def to_text(self) -> str:
        """All but `since`, as a store keeps it."""
        bound = self.bound
        return json.dumps(
            [
                bound.nano,
                bound.input_tokens,
                bound.output_tokens,
                self.priority,
                self.calls,
                self.asked,
                int(self.aged),
                int(self.lacks),
                int(self.exact),
                self.held,
            ],
            separators=(",", ":"),
        )

    @classmethod
    def of_text(cls, since: int, text: str) -> "Head":
        """A head as a store keeps it; one of an older release is told by an empty text."""
        if not text:
            return cls(since, asked=since)
        nano, put_in, put_out, priority, calls, asked, aged, lacks, exact, held = json.loads(text)
        return cls(
            since,
            Bound(nano, put_in, put_out),
            priority,
            calls,
            asked,
            bool(aged),
            bool(lacks),
            bool(exact),
            held,
        )
