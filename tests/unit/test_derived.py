"""The derived cap: its sum, its memory, and where the memory's figures come from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.limits.derived import (
    MEMORY_SHARE,
    MIB,
    Memory,
    MemoryCap,
    cap_of,
    terms,
)
from prefect_governor.blocks.limits.machine import Group, groups, memory, of_group, of_machine


def test_the_smallest_term_is_the_bottleneck_with_its_sum() -> None:
    found = terms(
        max_concurrent=40,
        requests_per_minute=600,
        tokens_per_minute=200_000,
        latency_seconds=2.0,
        tokens_per_call=1_000,
        memory=Memory(1024 * MIB, 524 * MIB, "cgroup v2"),
        footprint_bytes=50 * MIB,
        cores=16,
        downstream=12,
        money_left_nano=10**9,
        cost_nano=10**6,
    )
    caps = {term.name: term.cap for term in found}
    assert caps == pytest.approx(
        {
            "tokens_per_minute": 200_000 * 2 / 60 / 1_000,
            "memory": 500 * MEMORY_SHARE / 50,
            "downstream": 12,
            "cores": 16,
            "requests_per_minute": 20,
            "max_concurrent": 40,
            "money": 1000,
        }
    )
    assert [term.cap for term in found] == sorted(caps.values())
    assert found[0].name == "tokens_per_minute"
    assert cap_of(found) == 6
    assert "500 MiB free of 1,024 (cgroup v2) / 50 MiB an item" in found[1].text


def test_what_is_not_known_limits_nothing() -> None:
    assert cap_of(terms(requests_per_minute=10, money_left_nano=5)) is None
    assert cap_of(terms(money_left_nano=-5, cost_nano=10)) == 1


@given(
    held=st.integers(10 * MIB, 200 * MIB),
    limit=st.integers(300 * MIB, 4096 * MIB),
    base=st.integers(50 * MIB, 200 * MIB),
)
def test_items_under_way_never_outgrow_the_memory(held: int, limit: int, base: int) -> None:
    cap = MemoryCap()
    running = 0
    for _ in range(40):
        resident = base + running * held
        # A single item is started whatever it holds.
        assert resident <= limit or running <= 1
        allowed = cap.look(Memory(limit, resident, "test"), resident, running)
        cap.ended(running)
        running = min(allowed, running + max(1, allowed // 2))
    best = (limit - base) * MEMORY_SHARE / held
    assert running >= min(40, 0.5 * best) or running == 1


def test_a_given_footprint_is_believed() -> None:
    cap = MemoryCap(footprint_bytes=50 * MIB)
    assert cap.look(Memory(1024 * MIB, 24 * MIB, "test"), 24 * MIB, 0) == 18


def test_cgroup_v1_counts_no_page_cache(tmp_path: Path) -> None:
    (tmp_path / "memory.limit_in_bytes").write_text("1073741824\n")
    (tmp_path / "memory.usage_in_bytes").write_text("900000000\n")
    (tmp_path / "memory.stat").write_text("cache 5\ntotal_inactive_file 1\ntotal_active_file 2\n")
    found = of_group(Group(tmp_path, 1))
    assert found == Memory(1073741824, 899999997, "cgroup v1")
    (tmp_path / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert of_group(Group(tmp_path, 1)) is None


def test_cgroup_v2_and_the_groups_around_it(tmp_path: Path) -> None:
    inner = tmp_path / "pods" / "ours"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    outer = tmp_path / "pods"
    (outer / "memory.max").write_text("1000\n")
    (outer / "memory.current").write_text("700\n")
    (outer / "memory.stat").write_text("inactive_file 100\nactive_file 50\n")
    assert [each.folder for each in groups("0::/pods/ours", tmp_path)] == [inner, outer, tmp_path]
    found = memory(cgroups="0::/pods/ours", root=tmp_path, meminfo="")
    assert found == Memory(1000, 550, "cgroup v2")
    # In a namespace of its own, a container's group is the root that it sees.
    assert groups("0::/elsewhere", tmp_path)[0].folder == tmp_path


def test_a_machine_without_cgroups_has_its_own_memory() -> None:
    text = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n"
    assert of_machine(text) == Memory(1024_000, 614_400, "machine")
    assert of_machine("") is None
    assert memory(cgroups="", root=Path("/nowhere"), meminfo="") is None
