"""Cgroups of both versions, as folders of files: where they are made, what is written and read."""

import os
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap import cgroups
from prefect_governor.blocks.sandboxes.bubblewrap.cgroups import Group, Hierarchy
from prefect_governor.blocks.sandboxes.bubblewrap.orphans import owner

BOUNDS = SandboxBounds(memory_mib=64, processes=10, cpus=0.5)


def v1(root: Path, *names: str) -> str:
    """A machine with these controllers, each with a group of ours."""
    for name in names:
        (root / name / "ours").mkdir(parents=True)
    return "\n".join(f"{at}:{name}:/ours" for at, name in enumerate(names, 2))


def test_where_a_controller_has_no_folder_of_ours_nothing_counts(tmp_path: Path) -> None:
    assert cgroups.hierarchy("", tmp_path) is None
    assert cgroups.hierarchy(v1(tmp_path, "memory"), tmp_path) is None
    found = cgroups.hierarchy(v1(tmp_path / "both", "memory", "pids"), tmp_path / "both")
    assert found is not None and (found.version, found.cpu) == (1, None)
    assert found.memory == tmp_path / "both" / "memory" / "ours"


def test_v2_needs_its_controllers_handed_down(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    text = "0::/ours\n"
    assert cgroups.hierarchy(text, tmp_path) is None
    (ours / "cgroup.controllers").write_text("cpu memory pids")
    (ours / "cgroup.subtree_control").write_text("cpu memory pids")
    found = cgroups.hierarchy(text, tmp_path)
    assert found == Hierarchy(2, ours, ours, ours)
    (ours / "cgroup.controllers").write_text("cpu pids")
    assert cgroups.hierarchy(text, tmp_path) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_group_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    text = v1(tmp_path, "memory", "pids")
    (tmp_path / "memory" / "ours").chmod(0o500)
    assert cgroups.hierarchy(text, tmp_path) is None


def test_bounds_are_written_before_a_program_is_in_the_group(tmp_path: Path) -> None:
    group = Group(Hierarchy(2, tmp_path, tmp_path, tmp_path), BOUNDS)
    (folder,) = group.folders
    written = {each.name: each.read_text() for each in folder.iterdir()}
    assert written["memory.max"] == str(64 * 1024 * 1024)
    # `nsenter` and bubblewrap's own two beside the program's.
    assert written["pids.max"] == "13"
    assert written["cpu.max"] == "50000 100000"
    group.enter(4711)
    assert (folder / "cgroup.procs").read_text() == "4711"


@pytest.mark.parametrize("version", [1, 2])
def test_a_bound_that_the_kernel_held_is_told_by_its_counters(tmp_path: Path, version: int) -> None:
    memory, pids = (tmp_path, tmp_path) if version == 2 else (tmp_path / "m", tmp_path / "p")
    for folder in {memory, pids}:
        folder.mkdir(exist_ok=True)
    group = Group(Hierarchy(version, memory, pids, None), BOUNDS)
    of_memory = next(memory.glob("prefect-governor-*"))
    of_pids = next(pids.glob("prefect-governor-*"))
    assert group.over() is None and group.peak_bytes() is None
    (of_pids / "pids.events").write_text("max 1\n")
    assert group.over() == "processes"
    name = "memory.events" if version == 2 else "memory.oom_control"
    (of_memory / name).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert group.over() == "processes"
    (of_memory / name).write_text("oom 3\noom_kill 2\n")
    assert group.over() == "memory"
    peak = "memory.peak" if version == 2 else "memory.max_usage_in_bytes"
    (of_memory / peak).write_text("12345\n")
    assert group.peak_bytes() == 12345


def test_groups_of_the_dead_are_orphans_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    hierarchy = Hierarchy(2, tmp_path, tmp_path, None)
    mine, other = owner(), owner(os.getppid())
    here = mine.rpartition("-")[2]
    reused, gone = f"{os.getpid()}-1-{here}", f"999999999-5-{here}"
    # In a container's PID namespace nobody here knows who lives.
    elsewhere = f"999999999-5-{here}1"
    for name in (mine, other, reused, gone, elsewhere):
        (tmp_path / f"prefect-governor-{name}-abc").mkdir()
    (tmp_path / "prefect-governor-self").mkdir()
    (tmp_path / "somebody-else-1-2-abc").mkdir()
    found = {each.name for each in cgroups.orphaned(hierarchy)}
    # A number that is another process's by now is the dead one's.
    assert found == {f"prefect-governor-{reused}-abc", f"prefect-governor-{gone}-abc"}
