"""The desk when the ledger fails: nobody is let through, and nothing is lost or done twice."""

import pytest

from prefect_governor.blocks.errors import CallRefused, GovernorError
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.desk import PATIENCE_SECONDS, LedgerDesk
from prefect_governor.blocks.records.calls import Bound, Reply, ReplyKey
from tests.contract.conftest import (
    USAGE,
    FakeProcess,
    Flaky,
    Office,
    define,
    demand,
    in_flight,
    purse_of,
)
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import GPU, LLM, TEAM
from tests.unit.clocks import Clock


@pytest.fixture
def shaky(office: Office, flaky: Flaky) -> LedgerDesk:
    define(flaky.store, TEAM, LLM, GPU)
    desk = office.desk("shaky", flaky)
    for call_id in ("a", "b"):
        desk.admit(demand(call_id))
    desk.run_once()
    return desk


HOWS = pytest.mark.parametrize("how", ["broken", "commits_fail", "commits_lie"])


@HOWS
def test_nobody_is_let_through_while_the_ledger_fails_and_nobody_is_refused_for_a_moment_of_it(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock, how: str
) -> None:
    setattr(flaky, how, True)
    would_go = shaky.admit(demand("would go", limits=("gpu",)))
    over = shaky.admit(demand("over", limits=(), bound=Bound(10**6, 1, 1)))
    waiting = shaky.admit(demand("waiting"))
    asked = shaky.write(lambda batch: batch.define(LLM))
    pauses = []
    for _ in range(8):
        pauses.append(shaky.run_once() or 0.0)
        clock.pass_(3)
    assert not any(each.done() for each in (would_go, over, waiting))
    assert error_of(asked) == "LedgerUnavailable: the disk is full"
    assert pauses[:2] == [0.05, 0.1] and pauses[-1] == 1.0
    setattr(flaky, how, False)
    shaky.run_once()
    assert went([would_go, waiting]) == [True, False]
    assert error_of(over).startswith("OverBudget")
    assert in_flight(flaky.store, "gpu") == 1, "admitted once, however often it was tried"


@HOWS
def test_who_has_waited_half_a_minute_for_the_ledger_is_told_why_and_holds_nothing(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock, how: str
) -> None:
    late = shaky.admit(demand("late"), queue_timeout_seconds=100)
    setattr(flaky, how, True)
    would_go = shaky.admit(demand("would go", limits=("gpu",)))
    paused = shaky.admit(demand("paused", limits=(), bound=Bound(10**6, 1, 1)), pause_seconds=3600)
    settled = shaky.settle("a", USAGE)
    shaky.run_once()
    clock.pass_(PATIENCE_SECONDS - 0.1)
    shaky.run_once()
    assert not any(each.done() for each in (late, would_go, paused, settled))
    clock.pass_(0.1)
    shaky.run_once()
    for each in (late, would_go, paused, settled):
        assert error_of(each) == "LedgerUnavailable: the disk is full"
    # Who comes now is not kept waiting for what is known to be gone.
    comes_late = shaky.admit(demand("comes late"))
    shaky.run_once()
    assert error_of(comes_late) == "LedgerUnavailable: the disk is full"
    setattr(flaky, how, False)
    shaky.run_once()
    shaky.run_once()
    assert in_flight(flaky.store, "gpu") == 0, "what was admitted and refused leaks no slot"
    assert purse_of(flaky.store) == (40, 0, 100), "and what must happen has happened"


def test_the_queue_timeout_holds_while_the_ledger_fails(
    shaky: LedgerDesk, flaky: Flaky, clock: Clock
) -> None:
    late = shaky.admit(demand("late"), queue_timeout_seconds=5)
    flaky.commits_fail = True
    shaky.run_once()
    clock.pass_(5)
    shaky.run_once()
    assert error_of(late).startswith("QueueTimeout: waited 5.0 s")


@HOWS
def test_a_settle_that_failed_happens_later_once_and_its_caller_waits_for_it(
    shaky: LedgerDesk, flaky: Flaky, how: str
) -> None:
    key = ReplyKey("run", "item", 0, "hash")
    setattr(flaky, how, True)
    settled = shaky.settle("a", USAGE, Reply(key, b"{}", "text/plain"))
    unconfirmed = shaky.unconfirm("b", "cut off")
    shaky.run_once()
    shaky.run_once()
    assert not settled.done() and not unconfirmed.done()
    setattr(flaky, how, False)
    shaky.run_once()
    assert settled.exception(0) is None and unconfirmed.exception(0) is None
    assert (purse_of(flaky.store), in_flight(flaky.store)) == ((40, 100, 0), 0)
    assert flaky.read_reply(key) is not None
    assert shaky.stats(None).in_flight == 0


def test_work_that_never_succeeds_holds_up_nobody_for_ever(
    shaky: LedgerDesk, flaky: Flaky, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(batch: Batch) -> None:
        batch.settle("a", USAGE)
        raise AssertionError("a defect")

    poisoned = shaky._ask(fails, must_happen=True)
    settled = shaky.settle("b", USAGE)
    shaky.run_once()
    assert "a defect" in error_of(poisoned)
    assert isinstance(poisoned.exception(), GovernorError)
    assert "a defect" in caplog.text
    for number in range(3):
        call = shaky.admit(demand(f"after {number}", limits=("gpu",)))
        shaky.run_once()
        assert went([call]) == [True]
        shaky.void(f"after {number}", "400")
        shaky.run_once()
    # The other settle of the failed transaction happened, half of the poisoned one did not.
    assert settled.exception(0) is None
    assert purse_of(flaky.store) == (40, 0, 100)


def test_a_request_that_is_refused_fails_alone(desk: LedgerDesk) -> None:
    def refused(batch: Batch) -> None:
        raise CallRefused("not this one")

    answer, call = desk.write(refused), desk.admit(demand("a"))
    desk.run_once()
    assert error_of(answer) == "CallRefused: not this one"
    assert went([call]) == [True]


def test_a_desk_closed_while_the_ledger_fails_keeps_its_lock_and_answers_all(
    shaky: LedgerDesk, flaky: Flaky
) -> None:
    queued = shaky.admit(demand("queued"))
    shaky.run_once()
    settled = shaky.settle("a", USAGE)
    flaky.broken = True
    shaky.close()
    assert "ending" in error_of(queued) and "the disk is full" in error_of(settled)
    process = shaky.process
    assert isinstance(process, FakeProcess) and not process.released
