"""The derived cap: its sum, its memory, and where the memory's figures come from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.limits.derived import (
    ASSUMED,
    CORE,
    CORES,
    MEMORY_SHARE,
    MIB,
    Held,
    Memory,
    MemoryCap,
    Observed,
    Pace,
    Term,
    core_holds,
    core_term,
    terms,
    together,
)
from prefect_governor.blocks.limits.resources import Group, groups, memory, of_group, of_machine
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.records.limits import Rate

LLM = Held(
    "llm",
    (("max_concurrent", 40),),
    (
        ("requests_per_minute", Rate("requests", 600, 60)),
        ("tokens_per_minute", Rate("tokens", 200_000, 60)),
        ("requests_per_second", Rate("requests", 9, 1)),
    ),
)


def test_the_smallest_term_is_the_bottleneck_with_its_sum() -> None:
    found = terms(
        [LLM, Held("db", (("max_concurrent", 12),))],
        each=Observed(30, 2.0, 900.0, 100.0, 10**6),
        memory=Memory(1024 * MIB, 424 * MIB, "cgroup v2"),
        footprint_bytes=50 * MIB,
        cores=16,
        money_left_nano=10**9,
    )
    caps = [(term.name, round(term.cap, 2)) for term in found]
    assert caps == [
        ("tokens_per_minute", 6.67),
        ("memory", round((600 - 102.4) * 0.9 / 50, 2)),
        ("max_concurrent", 12),
        ("cores", 16),
        ("requests_per_second", 18),
        ("requests_per_minute", 20),
        ("max_concurrent", 40),
        ("money", 1000),
    ]
    assert str(found[0]) == (
        "tokens_per_minute 6.7 (llm: 200,000 x 2.00 s / 60 s / 1,000 tokens a call)"
    )
    assert "600 free of 1,024 (cgroup v2) / 50 MiB an item, observed" in found[1].text


def test_what_is_assumed_is_said_to_be() -> None:
    found = terms([LLM], footprint_bytes=MIB, memory=Memory(MIB, 0, "x"), money_left_nano=5)
    assert all("assumed" in term.text for term in found if "_per_" in term.name)
    assert "money" not in {term.name for term in found}, "nobody knows what a call costs"


def test_what_is_not_known_limits_nothing() -> None:
    assert terms() == ()
    assert terms([Held("llm")], money_left_nano=5) == ()
    (broke,) = terms(each=Observed(1, 1.0, 1.0, 1.0, 10), money_left_nano=-5)
    assert broke.cap == 0


def test_what_a_call_takes_is_averaged_over_the_last_ones() -> None:
    seen = Observed()
    for _ in range(200):
        seen.add(4.0, Usage(100, 1000, 10))
    assert (seen.calls, seen.seconds, seen.of("tokens"), seen.nano) == (200, 4.0, 1010, 100)
    for _ in range(200):
        seen.add(1.0, Usage(100, 1000, 10))
    assert seen.seconds == pytest.approx(1.0, abs=0.1)
    assert together([]) is ASSUMED
    both = together([Observed(1, 1.0), Observed(3, 5.0), Observed()])
    assert (both.calls, both.seconds) == (4, 4.0)


def test_a_tenth_of_a_container_is_left_to_others_and_half_a_gib_of_a_machine() -> None:
    empty = Memory(1000 * MIB, 0, "x")
    assert empty.room_bytes() == 900 * MIB * MEMORY_SHARE
    large = Memory(64 * 1024 * MIB, 0, "x")
    assert large.room_bytes() == (64 * 1024 - 512) * MIB * MEMORY_SHARE


def test_the_cap_falls_when_others_take_the_memory_and_climbs_back() -> None:
    cap = MemoryCap(footprint_bytes=50 * MIB)
    before = cap.look(Memory(1024 * MIB, 100 * MIB, "x"), 100 * MIB, 0)
    pressed = cap.look(Memory(1024 * MIB, 800 * MIB, "x"), 100 * MIB, 0)
    assert pressed < before / 4
    assert cap.look(Memory(1024 * MIB, 1020 * MIB, "x"), 100 * MIB, 0) == 1
    assert cap.look(Memory(1024 * MIB, 100 * MIB, "x"), 100 * MIB, 0) == before


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
    best = Memory(limit, base, "test").room_bytes() / held
    assert running >= min(40, 0.5 * best) or running == 1


def test_a_given_footprint_is_believed() -> None:
    cap = MemoryCap(footprint_bytes=50 * MIB)
    assert cap.look(Memory(1024 * MIB, 24 * MIB, "test"), 24 * MIB, 0) == 16


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


# The process itself


def test_a_core_is_in_the_sum_only_where_its_loop_has_no_time_left() -> None:
    each = Observed(50, 0.2)
    core = core_term(Pace(300, 10.0, 0.03), each=each)
    assert core is not None and core.name == CORE
    assert core.cap == pytest.approx(6.0)
    assert str(core) == (
        "this process's core 6 (30.0 calls a second x 0.20 s: the event loop ran 30 ms late)"
    )
    shared = core_term(Pace(300, 10.0, 0.03, processes=2), each=each)
    assert shared is not None and shared.name == CORES
    # With time left, before the first call has ended, and before any was made, nobody knows.
    assert core_term(Pace(300, 10.0, 0.001), each=each) is None
    assert core_term(Pace(300, 10.0, 0.03), each=Observed()) is None
    assert core_term(Pace(0, 10.0, 0.03), each=each) is None


def test_a_core_holds_back_what_nothing_else_holds() -> None:
    core = Term(CORE, 6.0, "")
    assert core_holds(core, [])
    assert core_holds(core, [Term("max_concurrent", 50, "")])
    # A run at its rate makes as many calls as its rate allows, and no core is to blame.
    assert not core_holds(core, [Term("max_concurrent", 50, ""), Term("requests", 7.0, "")])
