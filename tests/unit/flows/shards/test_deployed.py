"""What became of a shard's flow run, in words."""

import pytest
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled

from prefect_governor.flows.shards.deployed import end_of, how_ended


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


@pytest.mark.parametrize(
    ("state", "gone", "becomes"),
    [
        (Running(), True, "Crashed"),
        (Running(), False, "Cancelling"),
        (Scheduled(), False, "Cancelled"),
        (Pending(), False, "Cancelled"),
        (None, False, "Cancelled"),
    ],
)
def test_a_flow_run_is_ended_as_what_became_of_it(
    state: "State | None", gone: bool, becomes: str
) -> None:
    assert end_of(state, gone=gone).name == becomes
