"""The desk: who waits under a stop is refused when it is set, and nobody else."""

from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.stops import Stop, under
from prefect_governor.blocks.records.calls import Bound
from tests.contract.conftest import Flaky, Office, define, demand, in_flight, purse_of
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import Clock


def test_who_waits_under_it_is_refused_at_once_and_others_wait_on(desk: LedgerDesk) -> None:
    stop = Stop()
    with under(stop):
        flying = [desk.admit(demand(str(number))) for number in range(2)]
        waiting = desk.admit(demand("waiting"))
    other = desk.admit(demand("other"))
    desk.run_once()
    stop.set("told to end")
    desk.run_once()
    assert error_of(waiting) == "RunStopped: told to end"
    assert went(flying) == [True, True] and not other.done()
    assert in_flight(desk.store) == 2


def test_who_asks_after_it_is_refused_though_there_is_room(desk: LedgerDesk) -> None:
    stop = Stop()
    stop.set("told to end")
    with under(stop):
        late = desk.admit(demand("late"))
    desk.run_once()
    assert error_of(late) == "RunStopped: told to end"
    assert (purse_of(desk.store), in_flight(desk.store)) == ((0, 0, 0), 0)


def test_what_comes_free_at_the_same_moment_goes_to_others(desk: LedgerDesk) -> None:
    stop = Stop()
    flying = [desk.admit(demand(str(number))) for number in range(2)]
    with under(Stop(stop)):
        waiting = desk.admit(demand("waiting"))
    desk.run_once()
    desk.void("0", "not sent")
    stop.set("told to end")
    other = desk.admit(demand("other"))
    desk.run_once()
    assert error_of(waiting) == "RunStopped: told to end"
    assert went([*flying, other]) == [True, True, True]


def test_who_is_paused_for_money_is_refused_too(desk: LedgerDesk) -> None:
    stop = Stop()
    with under(stop):
        paused = desk.admit(demand("paused", bound=Bound(10**9, 1, 1)), pause_seconds=3600)
    desk.run_once()
    assert not paused.done()
    stop.set("told to end")
    desk.run_once()
    assert error_of(paused) == "RunStopped: told to end"


def test_a_ledger_that_fails_keeps_nobody_waiting(
    office: Office, flaky: Flaky, clock: Clock
) -> None:
    define(flaky.store, TEAM, LLM)
    desk = office.desk(store=flaky)
    for number in range(2):
        desk.admit(demand(str(number)))
    stop = Stop()
    with under(stop):
        waiting = desk.admit(demand("waiting"))
    desk.run_once()
    flaky.broken = True
    stop.set("told to end")
    desk.run_once()
    flaky.broken = False
    desk.run_once()
    assert error_of(waiting) == "RunStopped: told to end"
