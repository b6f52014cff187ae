"""A run that stops itself."""

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.records.calls import Attribution
from prefect_governor.flows.run.control import Control
from tests.unit.blocks.models.test_failures import Answered
from tests.unit.fakes import FakeGoverning


class Closed(FakeGoverning):
    """One whose document does not validate."""

    def accounts(self, who: Attribution) -> tuple[str, ...]:
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
