"""What a provider teaches is kept by every store, in the transaction of the call that taught it."""

import pytest

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.records.limits import LimitRecord, RateReading, Signals
from tests.contract.conftest import Office, define, demand
from tests.unit.clocks import Clock

KEY = "upstream/api/model/0a1b2c3d"
TERMS = LimitRecord(KEY, "model at api", adaptive=True)


@pytest.fixture
def desk(office: Office, store: Store) -> LedgerDesk:
    define(store, Account("team", "team", 10**12, None), LimitRecord("llm", "llm"))
    return office.desk(store=store)


def meet(desk: LedgerDesk) -> None:
    desk.write(lambda batch: batch.define(TERMS))
    desk.run_once()


def refuse(desk: LedgerDesk, call_id: str, *readings: RateReading) -> None:
    desk.throttled((KEY,), 1.0)
    desk.void(call_id, "429", signals=Signals(429, 0.1, 1.0, readings))
    desk.run_once()


def test_a_429_cuts_the_cap_for_every_process(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    meet(desk)
    calls = [f"call-{number}" for number in range(8)]
    admitted = [desk.admit(demand(each, limits=(KEY,))) for each in calls]
    desk.run_once()
    assert all(each.done() for each in admitted)
    refuse(desk, calls[0])
    other = office.desk("other")
    meet(other)
    gate = other.store.read_gate(KEY)
    assert gate is not None
    assert gate.upstream is not None
    assert (gate.cap, gate.in_flight, gate.upstream.episodes) == (6, 7, 1)
    clock.pass_(2.0)
    waits = other.admit(demand("more", limits=(KEY,)))
    other.run_once()
    assert not waits.done()
    for each in calls[1:3]:
        desk.settle(each, Usage(1, 1, 1), signals=Signals(200, 1.0))
    desk.run_once()
    other.run_once()
    assert waits.done()


def test_headers_teach_a_rate_to_every_process_and_defining_it_again_keeps_it(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    meet(desk)
    desk.admit(demand("first", limits=(KEY,)))
    desk.run_once()
    low = RateReading("requests", 10, 0, 58.0)
    desk.settle("first", Usage(1, 1, 1), signals=Signals(200, 1.0, 0.0, (low,)))
    desk.run_once()
    other = office.desk("other")
    meet(other)
    taken = [other.admit(demand(f"call-{number}", limits=(KEY,))) for number in range(12)]
    other.run_once()
    assert sum(each.done() for each in taken) == 9
    gate = other.store.read_gate(KEY)
    assert gate is not None
    assert gate.upstream is not None
    rate = gate.upstream.rates.rates["requests"].meter.rate
    assert (rate.amount, rate.window_seconds) == (10, 60)
    # A limit that people configured learns nothing, and keeps nothing.
    plain = other.store.read_gate("llm")
    assert plain is not None
    assert plain.upstream is None


def test_what_a_call_takes_is_kept_and_providers_limits_are_found(
    desk: LedgerDesk, office: Office, clock: Clock
) -> None:
    meet(desk)
    for at in range(20):
        desk.admit(demand(f"call-{at}", limits=(KEY,)))
        desk.run_once()
        clock.pass_(3.0)
        desk.settle(f"call-{at}", Usage(50, 70, 30), signals=Signals(200, 1.0))
        desk.run_once()
    (gate,) = office.desk("other").store.read_upstreams()
    assert gate.key == KEY
    assert gate.upstream is not None
    each = gate.upstream.each
    assert each.calls == 20
    assert (each.of("tokens"), each.nano) == pytest.approx((100.0, 50.0))
    assert each.seconds == pytest.approx(3.0, abs=0.2)
