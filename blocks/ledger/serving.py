"""Who of those that wait is admitted now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from heapq import heappop, heappush

from prefect_governor.blocks.errors import GovernorError, OverBudget, QueueTimeout
from prefect_governor.blocks.ledger.decision.admission import (
    Decision,
    Refused,
    Reservation,
    Share,
    Wait,
)
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.queue import Lane, Queue, Waiter, lane_of, needs
from prefect_governor.blocks.ledger.decision.turns import AGE_SECONDS, Turns, is_aged
from prefect_governor.blocks.records.calls import Admission

# Grants in one transaction: enough to share a commit, few enough to share the lock.
MOST_GRANTS = 256


@dataclass
class Served:
    """What became of the queue in one transaction. `more` says that it was cut short, after `most`
    grants, or answers of any kind where that is less than it may be; `deciding`, whose turn it was
    when an exception ended it."""

    grants: list[tuple[Waiter, Admission]] = field(default_factory=list)
    refusals: list[tuple[Waiter, Exception]] = field(default_factory=list)
    more: bool = False
    most: int = MOST_GRANTS
    deciding: Waiter | None = None

    @property
    def full(self) -> bool:
        """Whether it holds as many as one transaction is to."""
        count = len(self.grants)
        if self.most < MOST_GRANTS:
            count += len(self.refusals)
        return count >= self.most


def serve(queue: Queue, batch: Batch, turns: Turns, served: Served) -> None:
    """Admit whom it can, by turns; whoever leaves the queue stands in `served`.

    Others pass a first call that waits, with what it cannot use yet. Once it has been passed for
    `AGE_SECONDS`, its share of all that it lacks is kept for it, and only what fits beside passes.
    """
    now = batch.book.now
    for late in [each for each in queue.timed() if each.until is not None and each.until <= now]:
        # What its line's first waits for, it waits for too.
        head = queue.head(late.demand)
        waits = late.wait or (head.wait if head is not None else None)
        queue.remove(late.demand.call_id)
        served.refusals.append((late, QueueTimeout(_late(late, waits, now))))
    _resume(queue, batch, served)
    full: dict[str, Wait] = {}
    kept: dict[str, Share] = {}
    order = [(waiter.turn, waiter) for waiter in queue.heads()]
    while order:
        if served.full:
            served.more = True
            return
        _, waiter = heappop(order)
        call_id = waiter.demand.call_id
        decision: Decision | Reservation | None = None
        # An observed call is never held back, nor by those that are.
        if full and not waiter.demand.observe:
            decision = next((full[need] for need in needs(waiter.demand) if need in full), None)
        if decision is None:
            decision = _decide(batch, waiter, served, turns=turns, kept=kept)
        if isinstance(decision, Wait):
            waiter.wait = decision
            full.update((wait.resource, wait) for wait in decision.all if wait.full)
            _keep(kept, waiter, decision, now)
            continue
        if isinstance(decision, Refused) and waiter.pause:
            _pause(queue, batch, waiter, decision)
        else:
            admitted = isinstance(decision, Reservation)
            if admitted:
                turns.granted(waiter.demand)
            queue.remove(call_id, served_at=now if admitted else None)
            _end(batch, waiter, decision, served)
        after = queue.head(waiter.demand)
        if after is not None:
            heappush(order, (after.turn, after))


def refuse_stopped(waiters: Iterable[Waiter], queue: Queue, served: Served) -> None:
    """Refuse those of them whose stop is set: before anybody is admitted, as that frees nothing."""
    for waiter in waiters:
        if waiter.stop is not None and waiter.stop.is_set():
            queue.remove(waiter.demand.call_id)
            served.refusals.append((waiter, waiter.stop.refusal()))


def _keep(kept: dict[str, Share], waiter: Waiter, wait: Wait, now: int) -> None:
    """Keep a share of what a call lacks for it, where it has been passed for long enough. What it
    lacked before is kept too, unless what it waits for is far off."""
    if waiter.demand.observe or not is_aged(waiter, now):
        waiter.kept = frozenset()
        return
    soon = wait.until is None or wait.until - now <= AGE_SECONDS * 1e9
    waiter.kept = frozenset({*wait.short, *(waiter.kept if soon else ())})
    bound = waiter.demand.fitted or waiter.demand.bound
    for resource in waiter.kept:
        kept.setdefault(resource, Share()).add(bound)


def _resume(queue: Queue, batch: Batch, served: Served) -> None:
    """Ask again for those that are paused for money. A refusal of one tells that of all that need
    as much and the same."""
    refused: dict[Lane, tuple[int, int]] = {}
    back: list[Waiter] = []
    now = batch.book.now
    for waiter in queue.paused():
        if served.full:
            served.more = True
            break
        demand = waiter.demand
        bound = demand.fitted or demand.bound
        lane = lane_of(demand)
        least = refused.get(lane)
        over = waiter.paused_until is not None and waiter.paused_until <= now
        if not over and least and bound.nano >= least[0] and bound.tokens >= least[1]:
            continue
        decision = _decide(batch, waiter, served, tell=False)
        if isinstance(decision, Wait):
            waiter.wait = decision
            back.append(waiter)
        elif isinstance(decision, Refused) and not over:
            refused[lane] = (bound.nano, bound.tokens)
            _pause(queue, batch, waiter, decision)
        else:
            queue.remove(demand.call_id)
            _end(batch, waiter, decision, served)
    for waiter in reversed(back):
        queue.resume(waiter, now)


def _decide(
    batch: Batch,
    waiter: Waiter,
    served: Served,
    *,
    turns: Turns | None = None,
    kept: Mapping[str, Share] = {},
    tell: bool = True,
) -> Decision | Reservation | None:
    """What becomes of a call now; None where it was answered with an error. `kept` is left to those
    that were asked before it here, and, with `turns`, what it must to those of other processes."""
    if waiter.known:
        batch.page.unknown(waiter.demand.call_id)
    served.deciding = waiter
    try:
        if turns is not None and not waiter.demand.observe:
            kept = _beside(kept, turns.left_to_others(waiter, batch.page, kept))
        decision = batch.admit(waiter.demand, tell=tell, kept=kept)
        served.deciding = None
        return decision
    except GovernorError as error:
        served.deciding = None
        served.refusals.append((waiter, error))
        return None


def _beside(one: Mapping[str, Share], other: Mapping[str, Share]) -> Mapping[str, Share]:
    """Both together."""
    if not one or not other:
        return one or other
    both = dict(one)
    for resource, share in other.items():
        both[resource] = both.get(resource, Share()).plus(share)
    return both


def _end(
    batch: Batch, waiter: Waiter, decision: Decision | Reservation | None, served: Served
) -> None:
    if isinstance(decision, Refused):
        why = decision.why
        if waiter.paused_until is not None:
            why = f"{why}; it was paused for {waiter.pause / 1e9:,.0f} s, and no money came"
        refusal = OverBudget(why)
        refusal.left_nano, refusal.left_tokens = decision.left_nano, decision.left_tokens
        served.refusals.append((waiter, refusal))
    elif isinstance(decision, Reservation):
        demand = waiter.demand
        waited = max(0, batch.book.now - waiter.since) / 1e9
        fitted = decision.bound != demand.bound and decision.bound == demand.fitted
        served.grants.append(
            (
                waiter,
                Admission(
                    demand.call_id, waited, fitted, decision.observed or None, batch.book.now
                ),
            )
        )
        if waiter.paused_for is not None:
            batch.page.telling.resumed(waiter.paused_for)


def _pause(queue: Queue, batch: Batch, waiter: Waiter, refusal: Refused) -> None:
    now = batch.rows.now
    waiter.paused_for = refusal.purse
    if waiter.paused_at is None:
        queue.pause(waiter, now.boot)
    assert waiter.paused_until is not None
    left = waiter.paused_until - now.boot
    until = datetime.fromtimestamp((now.wall + left) / 1e9, tz=timezone.utc)
    account = refusal.purse[0] if refusal.purse is not None else ""
    waiter.wait = Wait(
        f"purse:{account}",
        "paused for money",
        f"{refusal.why}; paused until {until:%Y-%m-%d %H:%M:%S} UTC",
        waiter.paused_until,
    )


def _late(waiter: Waiter, wait: Wait | None, now: int) -> str:
    why = wait.why if wait is not None else "it was not its turn"
    return f"waited {(now - waiter.since) / 1e9:.1f} s in the queue: {why}"
