"""A run is cut so that a slow or dead process holds up little, and a long one is no long list."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.run.window import room_for, share_of
from prefect_governor.flows.shards.asked import Asked, asked_for
from prefect_governor.flows.shards.cutting import (
    MOST_CHUNKS,
    PROCESS_BYTES,
    chunk_size,
    processes_for,
)
from prefect_governor.flows.shards.plan import Plan


def plan_of(total: int, shards: int) -> Plan:
    size = chunk_size(total, shards)
    return Plan(
        folder=Path("."), kept_as="run", attempt="now", work="work", ledger="ledger", purse=None,
        shards=shards, total=total, size=size, offsets=tuple(range(0, total, size)), results="",
    )  # fmt: skip


@given(total=st.integers(1, 2_000_000), shards=st.integers(1, 1_000))
def test_every_item_is_in_one_chunk_and_the_chunks_are_few(total: int, shards: int) -> None:
    plan = plan_of(total, shards)
    count = len(plan.offsets)
    ends = [plan.positions(number) for number in (0, count - 1)]
    assert ends[0].start == 0 and ends[1].stop == total
    assert all(plan.positions(at).stop == plan.positions(at + 1).start for at in range(count - 1))
    assert count <= max(MOST_CHUNKS, 16 * shards)
    # What one process has in hand is small beside its part, unless all of it is small.
    assert plan.size <= max(1, total // (16 * shards), -(-total // MOST_CHUNKS))


@given(cap=st.integers(1, 10_000), shards=st.integers(1, 1_000))
def test_the_shards_of_a_run_fill_its_cap_together(cap: int, shards: int) -> None:
    share = share_of(cap, shards)
    assert share is not None and shards * share >= cap
    assert share_of(None, shards) is None
    # One that has lost all but every other of its fellows still fills it.
    assert -(-shards // 2) * room_for(share) >= cap


@pytest.mark.parametrize(
    ("total", "cores", "free", "expected"),
    [
        (10_000, 4, None, 4),
        (10_000, 4, 2 * PROCESS_BYTES, 2),
        (10_000, 4, 0, 1),
        (150, 4, None, 1),
        (250, 4, None, 2),
        (0, 4, None, 1),
    ],
)
def test_as_many_processes_as_bring_something(
    total: int, cores: int, free: int | None, expected: int
) -> None:
    assert processes_for(total, cores=cores, free_bytes=free) == expected


def test_what_is_asked_for() -> None:
    assert asked_for(shards=None, deployment=None, processes=None) is None
    assert asked_for(shards=None, deployment=None, processes=1) is None
    assert asked_for(shards=None, deployment=None, processes="auto") == Asked(None)
    assert asked_for(shards=None, deployment=None, processes="3") == Asked(3)
    assert asked_for(shards=8, deployment="fan-out/shard", processes=None) == Asked(
        8, "fan-out/shard"
    )
    assert Asked(8).shards(lambda: 3) == 8
    assert Asked(None).shards(lambda: 3) is None


def test_more_processes_than_cores_are_said_to_take_turns() -> None:
    (note,) = Asked(256).notes()
    assert "take turns" in note and "320 MiB" in note
    assert not Asked(1).notes() and not Asked(256, "fan-out/shard").notes()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 0}, "processes must be a whole number"),
        ({"processes": "many"}, "or 'auto'"),
        ({"processes": True}, "processes must be"),
        ({"shards": 4}, "give both"),
        ({"deployment": "fan-out/shard"}, "give both"),
        ({"shards": 2_000, "deployment": "fan-out/shard"}, "at most 256"),
        ({"shards": 4, "deployment": "fan-out/shard", "processes": 2}, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        asked_for(**{"shards": None, "deployment": None, "processes": None, **given})
