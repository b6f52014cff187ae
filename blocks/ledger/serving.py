"""Who of those that wait is admitted now."""

from dataclasses import dataclass, field

from prefect_governor.blocks.errors import GovernorError, OverBudget, QueueTimeout
from prefect_governor.blocks.ledger.admission import Refused, Reservation, Wait
from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.queue import Queue, Waiter
from prefect_governor.blocks.ledger.records import Admission
from prefect_governor.blocks.ledger.turns import Turns

# Grants in one transaction: enough to share a commit, few enough to share the lock.
MOST_GRANTS = 256


@dataclass
class Served:
    """What became of the queue in one transaction. `more` says that it was cut short."""

    grants: list[tuple[Waiter, Admission]] = field(default_factory=list)
    refusals: list[tuple[Waiter, Exception]] = field(default_factory=list)
    more: bool = False


def serve(queue: Queue, batch: Batch, turns: Turns, served: Served) -> None:
    """Admit whom it can, oldest first; whoever leaves the queue stands in `served`."""
    now = batch.book.now
    for late in [each for each in queue.waiters() if each.until is not None and each.until <= now]:
        queue.remove(late.demand.call_id)
        served.refusals.append((late, QueueTimeout(_late(late, now))))
    short: dict[str, Wait] = {}
    while len(served.grants) < MOST_GRANTS:
        # Who stood behind the last one may have waited longer than the next lane's first.
        waiter = _next(queue, short, turns)
        if waiter is None:
            return
        try:
            decision = batch.admit(waiter.demand)
        except GovernorError as error:
            served.refusals.append((waiter, error))
        else:
            if isinstance(decision, Wait):
                waiter.wait = decision
                short[decision.resource] = decision
                continue
            if isinstance(decision, Refused):
                served.refusals.append((waiter, OverBudget(decision.why)))
            elif isinstance(decision, Reservation):
                waited = (now - waiter.since) / 1e9
                served.grants.append((waiter, Admission(waiter.demand.call_id, waited)))
        queue.remove(waiter.demand.call_id)
    served.more = True


def _next(queue: Queue, short: dict[str, Wait], turns: Turns) -> Waiter | None:
    """The oldest head that lacks nothing that is known to be short."""
    for waiter in queue.heads():
        held = next((short[need] for need in waiter.demand.needs if need in short), None)
        if held is None and (held := turns.another_first(waiter)) is not None:
            short[held.resource] = held
        if held is None:
            return waiter
        waiter.wait = held
    return None


def _late(waiter: Waiter, now: int) -> str:
    why = waiter.wait.why if waiter.wait else "it was not its turn"
    return f"waited {(now - waiter.since) / 1e9:.1f} s in the queue: {why}"
