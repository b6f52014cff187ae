"""What became of a shard's flow run, in words."""

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from prefect_governor.flows.shards.deployed import how_ended


@pytest.mark.parametrize(
    ("state", "how"),
    [
        (None, None),
        (Pending(), None),
        (Running(), None),
        (Completed(name="Partial"), ""),
        (Cancelled(), ""),
        (Crashed(message="the pod is gone"), "ended as Crashed: the pod is gone"),
        (Failed(), "ended as Failed: without a word"),
    ],
)
def test_only_what_has_ended_badly_is_told(state: "State | None", how: str | None) -> None:
    assert how_ended(state) == how
