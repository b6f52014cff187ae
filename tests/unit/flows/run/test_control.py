"""A run that stops itself, and one that is told to end."""

import pytest
from prefect.exceptions import Pause, TerminationSignal

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.records.calls import Attribution
from prefect_governor.flows.run.control import Control
from tests.unit.blocks.models.test_failures import Answered
from tests.unit.fakes import FakeGoverning


class Closed(FakeGoverning):
    """One whose document does not validate."""

    def accounts(self, who: Attribution, *, nominal: bool = False) -> tuple[str, ...]:
        raise CallRefused("the document does not validate")


def test_the_first_dead_key_stops_the_run_whatever_has_become_of_the_governor() -> None:
    control = Control()
    with scope(Scope(Closed())):
        control.heed(Answered(500))
        assert not control.stop.is_set()
        control.heed(Answered(401))
        reason = control.reason
        control.heed(Answered(402, "insufficient credit"))
    assert control.stop.is_set()
    assert reason is not None and "401" in reason
    assert control.reason == reason


class Conducted:
    """A loop over items that is left by these, one after the other, and then ends."""

    def __init__(self, *left_by: BaseException) -> None:
        self.control = Control()
        self._left_by = list(left_by)
        self.seen: list[tuple[bool, bool]] = []

    def __call__(self) -> None:
        self.seen.append((self.control.stop.is_set(), self.control.abort.is_set()))
        if self._left_by:
            raise self._left_by.pop(0)


def test_an_order_to_end_is_heeded_and_given_for_after_the_report() -> None:
    order = TerminationSignal(signal=15)
    loop = Conducted(order)
    assert loop.control.conducted(loop) is order
    # What is in flight may end.
    assert loop.seen == [(False, False), (True, False)]
    assert loop.control.interrupted
    assert loop.control.stop.reason == "the flow run was told to end before this began"


def test_another_order_cancels_what_is_in_flight_and_a_third_waits_for_nothing() -> None:
    orders = [KeyboardInterrupt(), KeyboardInterrupt(), KeyboardInterrupt()]
    loop = Conducted(*orders[:2])
    assert loop.control.conducted(loop) is orders[0]
    assert loop.seen == [(False, False), (True, False), (True, True)]
    with pytest.raises(KeyboardInterrupt):
        Conducted(*orders).control.conducted(Conducted(*orders))


def test_an_error_that_comes_again_leaves_a_report_to_make() -> None:
    errors = [OSError("no space"), OSError("no space"), OSError("no space")]
    loop = Conducted(*errors)
    assert loop.control.conducted(loop) is errors[0]
    assert loop.control.abort.is_set() and not loop.control.interrupted
    assert loop.control.stop.reason == "the run broke: OSError: no space"


def test_a_run_that_prefect_suspends_is_no_run_that_ends() -> None:
    loop = Conducted(Pause())
    with pytest.raises(Pause):
        loop.control.conducted(loop)
    assert not loop.control.stop.is_set()
