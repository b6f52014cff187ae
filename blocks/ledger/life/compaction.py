"""Old calls of a ledger, summed and removed while others spend in it.

Each batch is a transaction: what a call came to is in its row or in a sum, at every instant, and a
process that is killed leaves nothing half done. A batch looks its calls up anew under the ledger's
lock, so any number of processes may do this at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.summing import sums_of
from prefect_governor.blocks.records.sums import OldCall

# How many calls a transaction takes: as many as hold the lock for about so long, in seconds.
FEWEST, MOST = 20, 1000
_AIM_SECONDS = 0.004
# Kept replies that a transaction removes, and how much of a file it hands back: as quick.
_REPLIES = 50
_SPACE_BYTES = 256 * 1024
# Between transactions the ledger is others' for so much longer than it was ours.
_REST = 2.0
_LOOK_AHEAD = 5000


@dataclass
class Compacted:
    """What was done, or with `dry_run` would be. `kept_calls` are old calls that stay, as their
    run's replies are kept; `longest_seconds` how long the ledger's lock was held at the most."""

    calls: int = 0
    kept_calls: int = 0
    replies: int = 0
    runs: int = 0
    freed_bytes: int = 0
    longest_seconds: float = 0.0


@dataclass
class Compaction:
    """One pass over a ledger.

    Args:
        store: the ledger.
        calls_before: calls that were admitted before this instant of the wall's clock, in ns, and
            are over, are summed.
        replies_before: what is kept of a run, to go on with it, is removed where its last call was
            admitted before this. Until then its calls are not summed.
        dry_run: only look. Nothing is written.
        size: how many calls the first transaction takes.
        tell: called now and then with what was done so far.
        seconds: a clock, `wait`: how time passes between transactions; injected by tests.

    Raises LedgerUnavailable: what was done before stays, and another pass goes on.
    """

    store: Store
    calls_before: int
    replies_before: int
    dry_run: bool = False
    size: int = 100
    tell: Callable[[Compacted], None] = lambda done: None
    seconds: Callable[[], float] = time.perf_counter
    wait: Callable[[float], None] = time.sleep
    done: Compacted = field(default_factory=Compacted)
    # By run: whether something of it is kept, so that it can be gone on with.
    _kept: dict[str, bool] = field(default_factory=dict)

    def run(self) -> Compacted:
        """Do it all."""
        last: OldCall | None = None
        horizon = max(self.calls_before, self.replies_before)
        while found := self.store.read_old(horizon, last, _LOOK_AHEAD):
            last = found[-1]
            free = [each for each in found if not self._is_kept(each)]
            old = [each.call_id for each in free if each.created_wall < self.calls_before]
            self.done.kept_calls += sum(
                each.created_wall < self.calls_before for each in found
            ) - len(old)
            self._sum(old)
            self.tell(self.done)
        if not self.dry_run:
            self._give_back()
        return self.done

    def _is_kept(self, call: OldCall) -> bool:
        run = call.run_id
        if run is None:
            return False
        if run not in self._kept:
            kept = self.store.read_has_replies(run)
            if kept and self.store.read_last_call(run) < self.replies_before:
                self._forget(run)
                kept = False
            self._kept[run] = kept
        return self._kept[run]

    def _forget(self, run: str) -> None:
        """Remove what is kept of a run."""
        self.done.runs += 1
        removed = _REPLIES
        while removed >= _REPLIES and not self.dry_run:
            with self.store.transaction() as rows:
                began = self.seconds()
                removed = rows.remove_replies(run, _REPLIES)
            self.done.replies += removed
            self._rest(self.seconds() - began)

    def _sum(self, call_ids: Sequence[str]) -> None:
        if self.dry_run:
            self.done.calls += len(call_ids)
            return
        at = 0
        while at < len(call_ids):
            some = call_ids[at : at + self.size]
            at += len(some)
            with self.store.transaction() as rows:
                began = self.seconds()
                # What another process has summed since is not there any more.
                ended = rows.ended_calls(some)
                rows.add_sums(sums_of(ended))
                rows.remove_reservations(each.call_id for each in ended)
            took = self.seconds() - began
            self.done.calls += len(ended)
            self.size = _next_size(self.size, took)
            self._rest(took)

    def _give_back(self) -> None:
        freed = 1
        while freed:
            began = self.seconds()
            freed = self.store.give_back_space(_SPACE_BYTES)
            self.done.freed_bytes += freed
            self._rest(self.seconds() - began)

    def _rest(self, took: float) -> None:
        self.done.longest_seconds = max(self.done.longest_seconds, took)
        self.wait(took * _REST)


def _next_size(size: int, took: float) -> int:
    """How many calls the next transaction takes, after one of `size` took so long. Pure."""
    if took > 2 * _AIM_SECONDS:
        return max(FEWEST, size // 2)
    return min(MOST, size + max(1, size // 4)) if took < _AIM_SECONDS else size
