"""Finds who in this process waits at the ledger for ever, and says what to write instead."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import PurseKey, is_allocation
from prefect_governor.blocks.ledger.decision.queue import Queue, Waiter
from prefect_governor.blocks.ledger.decision.stall import Waiting, stalled
from prefect_governor.blocks.machine import strands
from prefect_governor.blocks.machine.strands import Strand, Strands
from prefect_governor.blocks.records.calls import Demand

# How often is looked, in seconds. What is found twice running is refused, so nobody waits in vain
# for longer than a second.
LOOK_SECONDS = 0.25

BLOCKS = (
    "a blocking call in asynchronous code, which would wait for ever: it holds up the event loop on"
    " which those run that it waits for ({why}). Await it: `await acompletion(...)`, an SDK's"
    " asynchronous client on governor.async_http_client(), `async with governor.slot(...)`; or give"
    " it a thread: `await asyncio.to_thread(...)`"
)
HOLDS = (
    "deadlock: the code here holds some of what it asks for, and would wait for itself for ever"
    " ({why}). Read a stream to its end, or close it, before the next call; leave a slot before"
    " what needs another; or raise max_concurrent"
)
WAITS = (
    "deadlock: whoever holds what this asks for waits for it to end ({why}). Take a slot around"
    " less, or raise max_concurrent"
)


@dataclass
class _Hold:
    """What an admitted call holds, and who must go on for it to end."""

    strand: Strand
    amounts: dict[str, int]


class Stalls:
    """Used by the thread that writes; `took_off` and `handed_on` are told from any.

    Args:
        now: the clock, in nanoseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now, self._every = now, int(LOOK_SECONDS * 1e9)
        self._strands: dict[str, Strand] = {}
        self._looked = 0
        self._suspected: frozenset[Hashable] = frozenset()

    def took_off(self, waiter: Waiter) -> None:
        """It was admitted."""
        if waiter.strand is not None:
            self._strands[waiter.demand.call_id] = waiter.strand

    def handed_on(self, call_id: str) -> None:
        """Whoever runs here is who ends the call from now on."""
        if call_id in self._strands:
            self._strands[call_id] = strands.current_strand()

    def landed(self, call_id: str) -> None:
        """It is over."""
        self._strands.pop(call_id, None)

    def seconds(self, queue: Queue) -> float | None:
        """In how many seconds it is time to look; None where nobody waits, or nobody holds."""
        return self._every / 1e9 if len(queue) and self._strands else None

    def find(self, queue: Queue, batch: Batch) -> list[tuple[Waiter, CallRefused]]:
        """Whom to refuse now; those that block a loop for a task are told by `strands`."""
        now = self._now()
        if now - self._looked < self._every:
            return []
        self._looked = now
        if not len(queue) or not self._suspicious():
            self._suspected = frozenset()
            return []
        known = strands.look()
        waiters: dict[Hashable, Waiter] = {each.future: each for each in queue.waiters()}
        asked: dict[Hashable, dict[str, int]] = {}
        capacity = _caps(batch, {key for each in waiters.values() for key in each.demand.limits})
        for waiter in waiters.values():
            asked[waiter.future] = _asked(batch, waiter.demand, capacity)
        holds = _holds(batch, dict(self._strands))
        waits, held_up_by = self._graph(known, asked, holds)
        for waiter in waiters.values():
            first = queue.head(waiter.demand)
            if first is not None and first is not waiter:
                # Nobody passes whoever asked for the same before.
                waits[waiter.future] = Waiting(asked[waiter.future], after=(first.future,))
        held = [(each.strand, each.amounts) for each in holds]
        found = frozenset(stalled(waits, held_up_by, held, capacity))
        again, self._suspected = found & self._suspected, found
        return self._refusals(again, known, waiters, asked, holds)

    def _suspicious(self) -> bool:
        """Whether anything is there without which nobody can wait for himself: a loop that is
        blocked, or somebody who holds something and waits."""
        holders = set(self._strands.values())
        if not holders:
            return False
        return strands.a_loop_is_blocked() or any(
            strands.waits(each) or strands.awaited_by(each) for each in holders
        )

    def _graph(
        self, known: Strands, asked: dict[Hashable, dict[str, int]], holds: list[_Hold]
    ) -> tuple[dict[Hashable, Waiting], dict[Hashable, Hashable]]:
        """Who waits for what, and whose thread is blocked by whom. Work is a strand once it has
        begun, and stands for itself before that."""
        waits: dict[Hashable, Waiting] = {}
        held_up_by: dict[Hashable, Hashable] = {}

        def of_key(key: Hashable) -> Hashable:
            work = known.work.get(key)
            return key if work is None or work.strand is None else work.strand

        def blocked(who: Hashable, thread: int) -> None:
            blockers = known.blocked.get(thread)
            if blockers and blockers[-1] != who:
                held_up_by[who] = blockers[-1]

        for key, amounts in asked.items():
            waits[key] = Waiting(amounts)
        for key, work in known.work.items():
            if work.strand is None:
                waits[key] = Waiting(after=tuple(of_key(each) for each in work.after))
                if work.thread is not None:
                    blocked(key, work.thread)
            else:
                blocked(work.strand, work.strand.thread)
        for hold in holds:
            blocked(hold.strand, hold.strand.thread)
            if hold.strand not in known.waits and (inner := strands.awaited_by(hold.strand)):
                waits[hold.strand] = Waiting(after=inner)
        for strand, keys in known.waits.items():
            blocked(strand, strand.thread)
            known_keys = [key for key in keys if key in asked or key in known.work]
            if known_keys:
                waits[strand] = Waiting(after=tuple(of_key(key) for key in known_keys))
        # Whoever awaits a task awaits what that awaits.
        ahead = [each for waiting in list(waits.values()) for each in waiting.after]
        while ahead:
            each = ahead.pop()
            if isinstance(each, Strand) and each not in waits:
                if inner := strands.awaited_by(each):
                    waits[each] = Waiting(after=inner)
                    ahead += inner
                blocked(each, each.thread)
        return waits, held_up_by

    def _refusals(
        self,
        found: frozenset[Hashable],
        known: Strands,
        waiters: dict[Hashable, Waiter],
        asked: dict[Hashable, dict[str, int]],
        holds: list[_Hold],
    ) -> list[tuple[Waiter, CallRefused]]:
        asking = {
            strand: [waiters[key] for key in known.waits.get(strand, ()) if key in waiters]
            for strand in found
            if isinstance(strand, Strand)
        }
        blocking = [strand for strand in asking if strand in known.blocked.get(strand.thread, ())]
        if blocking:
            for strand in blocking:
                strands.tell_stalled(strand)
            return [each for strand in blocking for each in _refused(asking[strand], BLOCKS)]
        own: dict[Strand, set[str]] = {}
        for hold in holds:
            own.setdefault(hold.strand, set()).update(hold.amounts)
        greedy = [
            waiter
            for strand, mine in asking.items()
            for waiter in mine
            if own.get(strand, set()) & {*asked[waiter.future]}
        ]
        if greedy:
            return _refused(greedy, HOLDS)
        return _refused([waiter for mine in asking.values() for waiter in mine], WAITS)


def _refused(waiters: list[Waiter], text: str) -> list[tuple[Waiter, CallRefused]]:
    return [
        (each, CallRefused(text.format(why=each.wait.why if each.wait else "it is in line")))
        for each in waiters
    ]


def _caps(batch: Batch, limits: set[str]) -> dict[str, int]:
    """How many may be in flight under each limit that has a cap; each read once."""
    gates = ((key, batch.rows.gate(key)) for key in sorted(limits))
    return {
        f"gate:{key}": gate.cap for key, gate in gates if gate is not None and gate.cap is not None
    }


def _asked(batch: Batch, demand: Demand, capacity: dict[str, int]) -> dict[str, int]:
    """What a call asks for. How much there is of its money, whoever of this process holds it now,
    is added to `capacity`. Money that was set aside is left out: it comes free for nobody else."""
    bound = demand.fitted or demand.bound
    amounts = {f"gate:{key}": 1 for key in demand.limits if f"gate:{key}" in capacity}
    if demand.accounts and is_allocation(demand.accounts[0]):
        return amounts
    for key in demand.accounts:
        purse = batch.page.purse_now(key, demand)
        usd, tokens = _names(purse.key)
        if purse.ceiling_nano is not None:
            capacity[usd] = purse.ceiling_nano - purse.gone_nano - purse.allocated_nano
            amounts[usd] = bound.nano
        if purse.ceiling_tokens is not None:
            capacity[tokens] = purse.ceiling_tokens - purse.gone_tokens - purse.allocated_tokens
            amounts[tokens] = bound.tokens
    return amounts


def _holds(batch: Batch, held: dict[str, Strand]) -> list[_Hold]:
    batch.foresee(held)
    holds = []
    for call_id, strand in held.items():
        reservation = batch.page.reservation(call_id)
        if reservation is None or reservation.state != "reserved":
            continue
        amounts = {f"gate:{key}": 1 for key, _ in reservation.gates}
        if not any(is_allocation(account) for account, _ in reservation.purses):
            for key in reservation.purses:
                usd, tokens = _names(key)
                amounts[usd], amounts[tokens] = reservation.bound.nano, reservation.bound.tokens
        holds.append(_Hold(strand, amounts))
    return holds


def _names(purse: PurseKey) -> tuple[str, str]:
    return f"usd:{purse[0]}|{purse[1]}", f"tokens:{purse[0]}|{purse[1]}"
