"""What is done to a ledger, and to the plain sums that it must come to, at once."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.admission import Refused, Reservation, Wait
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from tests.contract.conftest import StoreFactory
from tests.contract.sums import Call, Model, Shard
from tests.unit.clocks import SECOND, Clock

DAY = 86_400
# Allocations: of a chain, whether it is elastic, and the one that it is set aside in, if any.
SHARDS: dict[str, tuple[tuple[str, ...], bool, str | None]] = {
    "alloc/a": (("leaf", "root"), True, None),
    "alloc/b": (("leaf", "root"), True, None),
    "alloc/c": (("root",), True, None),
    "alloc/synthesis": (("leaf", "root"), False, None),
    "alloc/inner": (("leaf", "root"), False, "alloc/synthesis"),
}
steps = {"all": 0}


class Acts(RuleBasedStateMachine):
    """Subclassed with the rules, and with a store's factory."""

    factory: StoreFactory

    @initialize(
        first=st.lists(
            st.tuples(st.sampled_from([*SHARDS]), st.integers(0, 350)),
            max_size=6,
        )
    )
    def open(self, first: list[tuple[str, int]]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.store = self.factory(self.folder, self.clock)
        self.model = Model()
        self.apply_budgets()
        for limit in self.model.caps:
            self.apply_cap(limit)
        for key, size in first:
            self.allocate_now(key, size, "one")

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def do(self, work: Callable[[Batch], Any], owner: str = "one") -> Any:
        steps["all"] += 1
        with self.store.transaction() as rows:
            batch = Batch(rows, owner)
            result = work(batch)
            batch.write()
        return result

    def pick(self, number: int) -> tuple[str, Call]:
        return sorted(self.model.calls.items())[number % len(self.model.calls)]

    # What happens

    def apply_budgets(self) -> None:
        version = f"{self.model.version:06}"
        accounts = [
            Account(key, key, ceiling, None, "day", version=version)
            for key, ceiling in self.model.ceilings.items()
        ]
        assert all(self.do(lambda batch: [batch.register(each) for each in accounts]))

    def apply_cap(self, limit: str) -> None:
        rates = (Rate("tokens", 10**9), Rate("requests", 10**9))
        terms = LimitRecord(limit, limit, self.model.caps[limit], rates)
        self.do(lambda batch: batch.define(terms))

    def ask(
        self, batch: Batch, owner: str, chain: tuple[str, ...], limits: tuple[str, ...], size: int
    ) -> None:
        model = self.model
        day = self.today()
        latest = {key: max(day, model.latest.get(key, "")) for key in chain}
        own: tuple[str, ...] = ()
        if chain[0] in model.shards:
            shard = model.shards[chain[0]]
            latest = {chain[0]: "total", **dict(shard.within)}
            own = model.own(chain[0])
        call_id = f"{len(model.calls):04}"
        bound = Bound(size, size, 0)
        who = Attribution(label=latest["root"])
        decision = batch.admit(Demand(call_id, chain, limits, bound, who))
        if chain[0] in model.shards and model.shards[chain[0]].closed:
            assert isinstance(decision, Refused) and "given back" in decision.why
            return
        judged = [
            key for key in latest
            if key not in model.shards or key != chain[0] or not model.shards[key].elastic
        ]  # fmt: skip
        lacks = over = False
        for key in judged:
            ceiling = model.shards[key].ceiling if key in model.shards else model.ceilings[key]
            spent, unconfirmed, reserved = model.sums(key, latest[key])
            gone = spent + unconfirmed + model.held(key, latest[key], but=own) + size
            over |= gone > ceiling
            lacks |= gone + reserved > ceiling
        slots = all(model.in_flight(key) < model.caps[key] for key in limits)
        # Over budget if and only if what is gone, what others have aside and the bound exceed it.
        assert isinstance(decision, Refused) == over, decision
        assert isinstance(decision, Reservation) == (not lacks and slots), decision
        if isinstance(decision, Wait) and slots:
            assert "held by reservations" in decision.why
        if isinstance(decision, Reservation):
            assert dict(decision.purses) == latest
            for key in model.ceilings.keys() & latest.keys():
                model.latest[key] = max(latest[key], model.latest.get(key, ""))
            model.calls[call_id] = Call(owner, latest, limits, size)
            self.learn_ceilings(batch)

    def learn_ceilings(self, batch: Batch) -> None:
        """Elastic allocations have drawn on what is free and on each other; fixed ones have not."""
        for key, shard in self.model.shards.items():
            purse = batch.book.purses.get((key, "total"))
            if purse is not None:
                assert purse.ceiling_nano is not None
                assert shard.elastic or purse.ceiling_nano == shard.ceiling
                shard.ceiling = purse.ceiling_nano

    def end(self, batch: Batch, how: str, number: int, size: int) -> None:
        call_id, call = self.pick(number)
        before = call.state
        if how == "unconfirm":
            done = batch.unconfirm(call_id, "cut off")
            expected = before == "reserved"
        else:
            expected = before in ("reserved", "unconfirmed")
            if how == "settle":
                done = batch.settle(call_id, Usage(size, size, 0))
            else:
                done = batch.void(call_id, "400")
        assert done == expected
        if done:
            call.state = {"settle": "spent", "void": "released"}.get(how, "unconfirmed")
            call.resolves += call.state != "unconfirmed"
            call.spent = size if how == "settle" else 0
            if how == "settle" and size > call.bound:
                self.model.loose |= set(call.days)

    def today(self) -> str:
        days = (self.clock.wall // SECOND - 1_795_514_400) // DAY
        return f"2026-11-{24 + days:02}"

    def allocate_now(self, key: str, size: int, owner: str) -> None:
        model = self.model
        chain, elastic, outer = SHARDS[key]
        if outer is not None and (outer not in model.shards or model.shards[outer].closed):
            return
        day = self.today()
        within = tuple((each, max(day, model.latest.get(each, ""))) for each in chain)
        if outer is not None:
            within = ((outer, "total"), *model.shards[outer].within)
        known = model.shards.get(key)
        asked = Allocation(
            key, key, ((outer, ""), *within[1:]) if outer else within, "run", elastic, owner
        )
        if known is not None and not known.closed:
            self.do(lambda batch: batch.allocate(asked, key, Bound(size, 0, 0)), owner)
            known.owner = owner
            return
        if known is not None and (any(model.sums(key, "total")[1:]) or model.held(key, "total")):
            # What may come back to it is held in the windows that it had.
            within = known.within
        rest = max(0, size - sum(model.sums(key, "total")) - model.held(key, "total"))
        fits = True
        for at, label in within:
            ceiling = model.shards[at].ceiling if at in model.shards else model.ceilings[at]
            free = ceiling - sum(model.sums(at, label)) - model.held(at, label)
            if outer is not None and at != outer:
                # The outer one pays, and has its money already.
                continue
            fits &= rest <= max(0, free)
        try:
            self.do(lambda batch: batch.allocate(asked, key, Bound(size, 0, 0)), owner)
        except OverBudget as error:
            assert not fits, error
        else:
            assert fits
            model.shards[key] = Shard(within, size, elastic, owner)
