"""Whose turn it is between processes, by what each says in the ledger of its first call.

Each process says since when its first call waits for a thing that is short. Another process whose
first came later leaves it what it can take now, unless it has not been heard of for a second. A
process whose first was admitted stands behind the others, however many calls it has waiting, so
they take turns; and of the slots of a limit each that waits gets an even part, what it has in
flight counted. A first call that has been passed for long enough has its share kept until it goes.
The order is total, so no two processes can wait for each other.
"""

from collections.abc import Mapping

from prefect_governor.blocks.ledger.decision.gate import Share, free_slots, rate_wait
from prefect_governor.blocks.ledger.decision.heads import Head
from prefect_governor.blocks.ledger.decision.page import Page
from prefect_governor.blocks.ledger.decision.purse import judge
from prefect_governor.blocks.ledger.decision.queue import Queue, Waiter, in_order, needs
from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.records.calls import Demand

# A process that has not said for this long that it waits is passed over, in seconds.
PATIENCE_SECONDS = 1.0
# How much longer another process's call must have been first, in seconds. A slot that is left to
# another process is idle until that one wakes; so they take turns by handfuls, not one by one.
SLACK_SECONDS = 0.1
# How often a process says so while nothing changes, in seconds.
REPEAT_SECONDS = 0.4
# How often a process says how much it has waiting, in seconds.
COUNT_SECONDS = 0.2
# What the head of those that are paused for a budget's money stands under.
PAUSED_PREFIX = "paused:"
# How long others may pass a call that waits, in seconds; then its share is kept for it.
AGE_SECONDS = 5.0


class Turns:
    """What this process says of its queue, and what it heard of the others'."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._others: dict[str, list[Head]] = {}
        self._held: dict[str, int] = {}
        self._said: dict[str, Head] = {}
        self._said_at = 0
        self._counts: dict[str, int] = {}
        self._counted_at = 0

    def hear(self, rows: Rows, held: Mapping[str, int]) -> None:
        """Read who waits elsewhere, and since when. `held` is what this process has in flight, by
        limit."""
        heard_of = rows.now.boot - int(PATIENCE_SECONDS * 1e9)
        self._others = rows.heads(self._owner, heard_of)
        self._held = dict(held)

    def granted(self, demand: Demand) -> None:
        """A call of this process was admitted in this transaction."""
        for key in demand.limits:
            self._held[key] = self._held.get(key, 0) + 1

    def left_to_others(
        self, waiter: Waiter, page: Page, kept: Mapping[str, Share] = {}
    ) -> Mapping[str, Share]:
        """What a call must leave of what it needs to calls of other processes. `kept` is what it
        leaves to those that were asked before it here.

        Raises LedgerUnavailable for a budget or limit that the ledger does not know.
        """
        if not self._others:
            return {}
        left: dict[str, Share] = {}
        for need in needs(waiter.demand):
            heads = self._others.get(need, ())
            before = [head for head in heads if _precedes(head, waiter, need)]
            kind, _, key = need.partition(":")
            share = Share()
            for head in before:
                if head.aged:
                    share.add(head.bound)
            # What one cannot take now, beside what is kept for those that have been passed for long
            # enough, others may.
            aged = kept.get(need, Share()).plus(share)
            for head in before:
                if not head.aged and _fits(head, kind, key, waiter.demand, page, aged):
                    share.add(head.bound)
            if kind == "gate":
                share.calls = sum(1 for head in before if not head.lacks)
                lacking = [head for head in heads if head.lacks]
                share.calls += self._even_part(page, key, lacking, waiter, need)
            if share != Share():
                left[need] = share
        return left

    def _even_part(
        self, page: Page, key: str, lacking: list[Head], waiter: Waiter, need: str
    ) -> int:
        """How many slots a call must leave to the processes that lack them: what each of those that
        have fewer in flight has less than its even part, and to those whose turn it is, one."""
        free = free_slots(page.gate(key)) or 0
        if not lacking or not free:
            return 0
        mine, priority = self._held.get(key, 0), waiter.demand.priority
        even = (mine + free + sum(head.held for head in lacking)) // (len(lacking) + 1)
        due = turns = 0
        for head in lacking:
            before = _precedes(head, waiter, need)
            if head.priority != priority or head.exact:
                # What outranks it takes as much as it can; a key has one holder.
                due += head.calls if before else 0
            elif head.aged or need in waiter.kept:
                turns += before
            elif (head.held, head.since) < (mine, waiter.first_at):
                # By the same order everywhere: no two leave a slot to each other.
                due += max(0, min(head.calls, even - head.held))
                turns += before
        return max(due, turns)

    def places(self, queue: Queue) -> dict[str, int]:
        """Where each first call stands among those that wait for the same, from 1, by its id; those
        of other processes that are known of are counted."""
        before: dict[str, int] = {}
        places: dict[str, int] = {}
        for waiter in queue.heads():
            if waiter.wait is None:
                continue
            need = waiter.wait.resource
            heads = self._others.get(need, ())
            others = sum(1 for head in heads if _precedes(head, waiter, need))
            places[waiter.demand.call_id] = before.get(need, 0) + others + 1
            before[need] = before.get(need, 0) + 1
        return places

    def say(self, rows: Rows, queue: Queue) -> None:
        """Tell the others who waits here first, and how many do."""
        now = rows.now.boot
        heads = _heads(queue, self._held)
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


def is_aged(waiter: Waiter, now: int) -> bool:
    """Whether others have passed a first call for long enough."""
    return bool(waiter.first_at) and now - waiter.first_at >= AGE_SECONDS * 1e9


def _heads(queue: Queue, held: Mapping[str, int]) -> dict[str, Head]:
    """The first of this process, for each thing that is short or kept."""
    firsts: dict[str, Waiter] = {}
    counts: dict[str, int] = {}
    asked: dict[str, int] = {}
    for waiter in queue.heads():
        if waiter.wait is None or waiter.demand.observe:
            continue
        for resource in {*waiter.wait.short, *waiter.kept}:
            firsts.setdefault(resource, waiter)
            counts[resource] = counts.get(resource, 0) + queue.behind(waiter)
            asked[resource] = min(waiter.since, asked.get(resource, waiter.since))
    heads: dict[str, Head] = {}
    for resource, waiter in firsts.items():
        demand = waiter.demand
        assert waiter.wait is not None
        heads[resource] = Head(
            since=waiter.first_at,
            bound=demand.fitted or demand.bound,
            priority=demand.priority,
            calls=1 << (counts[resource].bit_length() - 1),
            asked=asked[resource],
            aged=resource in waiter.kept,
            lacks=resource in waiter.wait.short,
            exact=in_order(demand),
            held=held.get(resource.removeprefix("gate:"), 0),
        )
    return {**heads, **_paused(queue)}


def _paused(queue: Queue) -> dict[str, Head]:
    """Those that are paused for the money of a budget. Nobody leaves them anything: they are told
    for people to see."""
    heads: dict[str, Head] = {}
    for waiter in queue.paused():
        if waiter.wait is None or waiter.paused_at is None:
            continue
        resource = f"{PAUSED_PREFIX}{waiter.wait.resource.removeprefix('purse:')}"
        known = heads.get(resource)
        calls = 1 if known is None else known.calls + 1
        asked = min(waiter.since, waiter.since if known is None else known.asked)
        heads[resource] = Head(since=waiter.paused_at, calls=calls, asked=asked)
    return heads


def _precedes(head: Head, waiter: Waiter, need: str) -> bool:
    """Whether another process's first call goes before one here: by priority, then those whose
    share is kept, then whoever is first for longer."""
    if head.priority != waiter.demand.priority:
        return head.priority > waiter.demand.priority
    kept = need in waiter.kept
    if head.aged != kept:
        return head.aged
    # Who holds a key alone is handed it in the order of asking, to the nanosecond; and so is a
    # share that is kept for two.
    slack = 0 if kept or head.exact else int(SLACK_SECONDS * 1e9)
    return head.since < waiter.first_at - slack


def _fits(head: Head, kind: str, key: str, demand: Demand, page: Page, kept: Share) -> bool:
    """Whether another process's first call would get what it needs of a thing now, beside what is
    kept for those that go before it."""
    if kind == "gate":
        return rate_wait(page.gate(key), head.bound, page.book.now, kept) is None
    purse = page.purse_now(key, demand)
    return judge(purse, head.bound, (0, 0), (kept.nano, kept.tokens)) is None
